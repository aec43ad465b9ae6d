"""The timer's part: what is kept and has nobody who works on it is queued again, and told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from services.cloud.ports.storage import BlobStore, Queue
from services.errors import BadRequest, NotFound
from services.inbound import cvat, cvat_job, label_studio
from services.inbound.kept import MOST_AGAIN, Kept, Message, Tried
from services.inbound.notes import MESSAGES, Note, Notes
from services.inbound.sources import Source, Sources
from services.labels.problems import problem
from services.wake import Waker

log = logging.getLogger(__name__)


class Overdue:
    """Looks after the bodies of all sources."""

    def __init__(
        self, system: BlobStore, sources: Sources, queue: Queue, waker: Waker, clock: Callable[[], datetime]
    ) -> None:
        """`system` is the container that only we write."""
        self._system, self._sources, self._queue, self._waker, self._clock = system, sources, queue, waker, clock
        self._kept, self._notes = Kept(system), Notes(system)

    def look(self) -> None:
        """Queue what nobody works on; generic sources keep nothing, as they send again what was not answered."""
        now = self._clock()
        for source in self._sources.all():
            if source.kind != "generic":
                for message, tried in self._kept.overdue(source.id, now):
                    self._again(source, message, tried)

    def _again(self, source: Source, message: Message, tried: Tried) -> None:
        """Told before it is queued: the worker that is done with it ends what was told."""
        log.warning("Message %s of source %s is overdue: %s", message.body, source.id, tried.model_dump_json())
        if tried.again > MOST_AGAIN:
            self._give_up(source, message, tried)
            return
        if tried.begun or tried.again > 1:  # else it may only wait in a long queue, or was never in it
            self._tell(source, message, tried, f"it is tried again, until {tried.due:%Y-%m-%d %H:%M} UTC", message.body)
        self._queue.send(message.model_dump_json())

    def _give_up(self, source: Source, message: Message, tried: Tried) -> None:
        """From then on it is like others that could not be taken: the next that is taken ends what is told."""
        self._tell(source, message, tried, "it is not tried again", self._place(source, message)[0])
        self._kept.drop(message)
        self._notes.clear(source.loop, source.id, message.body)

    def _tell(self, source: Source, message: Message, tried: Tried, then: str, key: str) -> None:
        _, folder, place = self._place(source, message)
        count = f"{tried.begun} attempts at it" if tried.begun != 1 else "an attempt at it"
        found = f"{count} began and none came to its end ({then})" if tried.begun else f"nobody began with it ({then})"
        said = problem("inbound-failed", f"labels/{folder}", place, expected=_EXPECTED, found=found)
        reason = f"What a labelling tool sent could not be taken, {place}: {found}"
        self._notes.put(source.loop, key, Note(source=source.id, reason=reason, problems=[said]))
        self._waker.wake(source.loop, "a labelling tool's work could not be taken")

    def _place(self, source: Source, message: Message) -> tuple[str, str, str]:
        """The key that other problems of such a message have, the folder of its labels, and what it is about."""
        if source.kind == "label_studio":
            return MESSAGES, label_studio.FOLDER, "a message"
        with suppress(NotFound, BadRequest):
            if (found := cvat.announced(self._kept.read(message).data)) is not None:
                return str(found.job), cvat_job.FOLDER, f"job {found.job}"
        return message.body, cvat_job.FOLDER, "a message"


_EXPECTED = "an attempt that comes to its end; the app's log says why none did, such as too little memory"
