"""Takes what a source sends: looks at its proof first, then at the body, then writes files of its loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.cloud.ports import BlobStore
from services.errors import BadRequest, Forged, TooLarge
from services.inbound.generic import files_of
from services.inbound.sources import Source, Sources
from services.inbound.taken import Taken
from services.settings import Settings

MOST_ID = 256


class Inbound:
    """The receiving end of all sources."""

    def __init__(self, data: BlobStore, sources: Sources, taken: Taken, settings: Settings) -> None:
        """`data` is the container of users' files."""
        self._data, self._sources, self._taken, self._settings = data, sources, taken, settings

    def take(self, source_id: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """Take one message; what was taken before is acknowledged and does nothing.

        Raises:
            NotFound: there is no such source.
            Forged: the message does not prove that it is the source's.
            BadRequest, TooLarge: the body is not what it should be.
        """
        limit = self._settings.max_request_bytes
        if len(body) > limit:
            raise TooLarge(f"The body is over VISIONLOOP_MAX_REQUEST_BYTES = {limit}", limit=limit)
        return self._generic(self._sources.get(source_id), headers, body)

    def _generic(self, source: Source, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        check_signature(source.secret, headers, body)
        message = headers["webhook-id"]
        if len(message) > MOST_ID:
            raise BadRequest(f"webhook-id has more than {MOST_ID} characters")
        if self._taken.has(source.id, message):
            return {"taken": False, "files": [], "says": "This message was taken before"}
        files = files_of(body, self._settings)
        for path, content in files:
            self._data.write(f"{source.loop}/{path}", content)
        self._taken.note(source.id, message)
        return {"taken": True, "files": [path for path, _ in files], "says": ""}


def check_signature(secret: str, headers: Mapping[str, str], body: bytes) -> None:
    """See that a body is signed by Standard Webhooks, within five minutes.

    Raises:
        Forged: it is not.
    """
    from standardwebhooks import Webhook, WebhookVerificationError

    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError, OverflowError, OSError):
        raise Forged("The headers webhook-id, webhook-timestamp and webhook-signature do not fit the body") from None
