"""Every error a client, a log or the status page can meet.

VisionloopError
├── BadRequest (400)            the request or record is not what the contract says
│   ├── UnsupportedMedia (415)  the bytes are not of a kind that is accepted
│   ├── UnprocessableImage (422) an image that cannot be decoded
│   ├── TooLarge (413)          over a limit that settings name
│   └── RangeNotSatisfiable (416) a range behind the end of what is asked for
├── Unauthorized (401)          no key or identity, or one that is not known here
├── Forbidden (403)             the key or identity is not for this
├── BadLink (403)               a signed link is forged, too old or used
├── Forged (403)                a message does not prove that it is its source's
├── NotFound (404)              no such loop, webhook, version or blob
├── Conflict (409)              the state of the loop forbids it now
│   ├── NoChampion (409)        no model is live yet
│   └── ChangedMeanwhile (409)  a compare-and-set met another writer
├── Waking (202)                the endpoint rested and is being woken
├── LoopBusy (409)              another process holds the loop's lease
├── ConfigError (422)           loop.yaml or an app setting is wrong
├── TooBusy (429)               as many requests are under way here as may be
├── OverQuota (429)             a client key's requests of this minute or day are used up
├── Upstream (502)              Azure answered with an error
│   ├── UpstreamRefused (502)   Azure refuses the request as it is, and would again
│   ├── UpstreamUnreached (502) nobody answered: no connection, or a gateway without anybody behind it
│   ├── UpstreamBusy (503)      Azure asks to come again later
│   │   └── SlotResting (503)   a slot failed too often to be asked now
│   └── UpstreamTimeout (504)   no answer before the deadline
"""

from __future__ import annotations

from typing import ClassVar


class VisionloopError(Exception):
    """The root: `status` is the HTTP status, `retryable` says whether the same call may succeed later."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, **extra: object) -> None:
        """`detail` is a sentence for people; `extra` are further members of the problem details."""
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class BadRequest(VisionloopError):
    """The request or record is not what the contract says (400)."""

    status, title = 400, "Bad request"


class UnsupportedMedia(BadRequest):
    """The bytes are not of a kind that is accepted (415)."""

    status, title = 415, "Unsupported media type"


class UnprocessableImage(BadRequest):
    """An image of a known kind that cannot be decoded (422)."""

    status, title = 422, "Unreadable image"


class TooLarge(BadRequest):
    """Over a limit; the detail names the limit (413)."""

    status, title = 413, "Too large"


class RangeNotSatisfiable(BadRequest):
    """A range behind the end of what is asked for (416)."""

    status, title = 416, "Range not satisfiable"


class Unauthorized(VisionloopError):
    """No key or identity, or one that is not known here (401)."""

    status, title = 401, "Unauthorized"


class Forbidden(VisionloopError):
    """The key or identity is known, and not for this (403)."""

    status, title = 403, "Forbidden"


class BadLink(VisionloopError):
    """A signed link is forged, too old or used (403)."""

    status, title = 403, "This link is no longer good"


class Forged(VisionloopError):
    """A message does not prove that it is its source's (403)."""

    status, title = 403, "Not signed as agreed"


class NotFound(VisionloopError):
    """No such loop, webhook, version or blob (404)."""

    status, title = 404, "Not found"


class Conflict(VisionloopError):
    """The state of the loop forbids it now (409)."""

    status, title = 409, "Conflict"


class NoChampion(Conflict):
    """No model is live yet; the detail says how far the loop is (409)."""

    title = "No model is live yet"


class ChangedMeanwhile(Conflict):
    """A compare-and-set met another writer: read again and decide anew (409)."""

    title, retryable = "Changed meanwhile", True


class Waking(VisionloopError):
    """The endpoint rested or was lost, and is being woken: ask again (202); `extra["retry_after"]` in seconds."""

    status, title, retryable = 202, "The model is waking", True


class LoopBusy(VisionloopError):
    """Another process holds the loop's lease (409)."""

    status, title, retryable = 409, "Loop is busy", True


class ConfigError(VisionloopError):
    """loop.yaml or an app setting is wrong; the detail says where, what was expected and found (422)."""

    status, title = 422, "Configuration error"


class TooBusy(VisionloopError):
    """As many requests are under way here as may be (429); `extra["retry_after"]` in seconds."""

    status, title, retryable = 429, "Too many requests", True


class OverQuota(VisionloopError):
    """A client key's requests of this minute or day are used up (429); `extra["retry_after"]` in seconds."""

    status, title, retryable = 429, "Quota used up", True


class Upstream(VisionloopError):
    """Azure answered with an error (502)."""

    status, title, retryable = 502, "Upstream error", True


class UpstreamRefused(Upstream):
    """Azure refuses the request as it is, and would again (502)."""

    title, retryable = "Upstream refused", False


class UpstreamUnreached(Upstream):
    """Nobody answered: no connection, or a gateway without anybody behind it (502)."""

    title = "Upstream not reached"


class UpstreamBusy(Upstream):
    """Azure asks to come again later (503); `extra["retry_after"]` in seconds where it said."""

    status, title = 503, "Upstream busy"


class SlotResting(UpstreamBusy):
    """A slot failed too often to be asked now (503); `extra["retry_after"]` in seconds."""

    title = "Slot is resting"


class UpstreamTimeout(Upstream):
    """No answer before the deadline (504)."""

    status, title = 504, "Upstream timeout"
