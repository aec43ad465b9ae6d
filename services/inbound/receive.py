"""Takes what a source sends: looks at its proof first, then at the body, then writes files of its loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from services.cloud.ports.storage import BlobStore
from services.errors import BadRequest, ChangedMeanwhile, Forged, TooLarge, Upstream
from services.inbound import cvat
from services.inbound.generic import files_of, write_files
from services.inbound.kept import Kept, key_of
from services.inbound.label_studio import FOLDER, Change, apply, changes_and_refusals, check_secret, deleted_tasks
from services.inbound.later import Later
from services.inbound.newest import Newest
from services.inbound.notes import MESSAGES, Note, Notes
from services.inbound.sources import Source, Sources
from services.inbound.taken import KEPT, Taken
from services.labels.problems import problem
from services.settings import Settings

MOST_ID = 256
MOST_AT_ONCE = 4
"""Annotations of a message that are worked on while Label Studio waits, which it does for a second; else later."""
log = logging.getLogger(__name__)


class Inbound:
    """The receiving end of all sources."""

    def __init__(
        self,
        stores: tuple[BlobStore, BlobStore],
        sources: Sources,
        later: Later,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        """`stores` are the container of users' files and the one that only we write; `later` queues."""
        self._data, self._system = stores
        self._sources, self._later, self._settings, self._clock = sources, later, settings, clock
        self._taken, self._kept = Taken(self._system, clock), Kept(self._system)

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
        source = self._sources.get(source_id)
        if source.kind == "label_studio":
            return self._label_studio(source, headers, body)
        if source.kind == "cvat":
            return self._cvat(source, headers, body)
        return self._generic(source, headers, body)

    def _generic(self, source: Source, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        check_signature(source.signing(self._clock()), headers, body)
        message = headers["webhook-id"]
        if len(message) > MOST_ID:
            raise BadRequest(f"webhook-id has more than {MOST_ID} characters")
        begun = self._taken.begin(source.id, message)
        if begun is None:
            return {"taken": False, "files": [], "says": "This message was taken before"}
        asked = files_of(body, self._settings)
        files = write_files(self._data, source.loop, asked, begun)
        self._taken.note(source.id, message)
        left = len(asked) - len(files)
        return {
            "taken": True,
            "files": files,
            "says": f"Labels that are newer than this message: {left}" if left else "",
        }

    def _label_studio(self, source: Source, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """A repeated message changes nothing, and an older one nothing newer: so no ids are noted."""
        check_secret(source.signing(self._clock()), headers)
        changes, refused, tasks = self._changes(source, body)
        if tasks:
            self._later.keep(source.id, body)
            return {"taken": True, "files": [], "says": f"It is being looked at which labels are of {len(tasks)} tasks"}
        if refused or len(changes) > MOST_AT_ONCE:
            self._later.keep(source.id, body)
            return {"taken": True, "files": [], "says": f"{len(changes)} annotations are being worked on"}
        try:
            files = self._at_once(source, changes, body)
        except (Upstream, ChangedMeanwhile) as error:
            log.warning("Annotations of source %s are taken later: %s", source.id, error.detail)
            self._later.keep(source.id, body)  # it is sent once: what is refused now is lost
            return {"taken": True, "files": [], "says": "It could not be taken at once and is being worked on"}
        return {"taken": True, "files": files, "says": ""}

    def _at_once(self, source: Source, changes: Sequence[Change], body: bytes) -> list[str]:
        """The body is kept meanwhile: it is sent once, and the timer finds it where this process dies."""
        if not changes:
            return []
        kept = self._kept.keep(source.id, body)
        files = apply(changes, Newest(self._data, self._system, source.id, source.loop), self._clock())
        if files:
            Notes(self._system).clear(source.loop, source.id, MESSAGES)
        with suppress(Upstream):
            self._kept.drop(kept)
        return files

    def _changes(self, source: Source, body: bytes) -> tuple[list[Change], list[str], set[str]]:
        """What is refused is noted until something is taken: Label Studio shows nobody what it is answered."""
        try:
            return *changes_and_refusals(body), deleted_tasks(body)
        except BadRequest as error:
            expected = '"Send payload" on, and annotations of images'
            said = problem("inbound-failed", f"labels/{FOLDER}", "a message", expected=expected, found=error.detail)
            reason = f"A message of Label Studio could not be taken: {error.detail}"
            with suppress(Upstream):
                Notes(self._system).put(source.loop, MESSAGES, Note(source=source.id, reason=reason, problems=[said]))
            raise

    def _cvat(self, source: Source, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """CVAT's messages have no time: a repetition that is older than our memory is told by the job's."""
        cvat.check_signature(source.signing(self._clock()), headers, body)
        found = cvat.announced(body)
        if found is None:
            return {"taken": True, "files": [], "says": "Nothing is to be done: this is about no completed job"}
        if self._clock() - found.at > KEPT:
            raise Forged(f"job.updated_date is more than {KEPT.days} days ago: the message may be a repetition")
        if self._taken.has(source.id, key_of(body)):
            return {"taken": False, "files": [], "says": "This message was taken before"}
        self._later.keep(source.id, body)
        return {"taken": True, "files": [], "says": f"Job {found.job} is being looked at"}


_SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")


def check_signature(secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> None:
    """See that a body is signed by Standard Webhooks, within five minutes, with one of some secrets.

    Raises:
        Forged: it is not.
    """
    said = [_refusal(secret, headers, body) for secret in secrets]
    if all(each is not None for each in said):
        raise Forged(_forgery(headers, said[0] or ""))


def _refusal(secret: str, headers: Mapping[str, str], body: bytes) -> str | None:
    from standardwebhooks import Webhook, WebhookVerificationError

    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError, OverflowError, OSError) as error:
        return str(error)
    return None


def _forgery(headers: Mapping[str, str], said: str) -> str:
    """What an honest sender has to mend, by what the library said; tells a forger nothing that is not in the guide."""
    if lacking := [name for name in _SIGNED if not headers.get(name)]:
        return f"The header {lacking[0]} is missing: a message is signed as Standard Webhooks says"
    if "timestamp too" in said:
        return "webhook-timestamp is more than five minutes from the time here: see to the sender's clock"
    return "webhook-signature does not fit webhook-id, webhook-timestamp, the body as it came and the source's secret"
