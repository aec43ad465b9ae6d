"""Works on what sources sent and nobody waits for: from the queue, at least once, in any order.

A message names a body that was proven to be its source's, and is kept until it is worked off. What CVAT does not answer
is asked again by the schedule that webhooks have too; what does not work is noted for the loop.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

from pydantic import BaseModel, Field, ValidationError

from services.cloud.ports.storage import Blob, BlobStore, Queue
from services.errors import BadRequest, ChangedMeanwhile, NotFound, Upstream, UpstreamRefused, VisionloopError
from services.inbound.cvat import Announced, announced
from services.inbound.cvat_api import CvatApi, Server
from services.inbound.cvat_job import FOLDER, Documents, Frame, Outcome, read_job
from services.inbound.documents import change, read
from services.inbound.kept import Kept, Message
from services.inbound.label_studio import FOLDER as LABEL_STUDIO
from services.inbound.label_studio import Change, apply, changes_and_refusals, deleted_tasks
from services.inbound.newest import Entry, Newest
from services.inbound.notes import MESSAGES, Note, Notes
from services.inbound.overdue import Overdue
from services.inbound.sources import Source, Sources
from services.inbound.taken import Taken
from services.labels.problems import problem
from services.wake import Waker
from services.webhooks.schedule import pause

THREADS = 8
STORAGE_SECONDS = 60.0
PATIENT_STORAGE = 10
"""So many attempts storage may refuse before it is told: an hour, as each waits a minute longer."""
MOST_NAMED = 3
"""Files in one sentence."""
PATIENT_ATTEMPTS = 2
"""What may pass by is not told before so many attempts have failed."""
log = logging.getLogger(__name__)


class _Job(BaseModel):
    """A job of CVAT, by the times of its changes."""

    begun: datetime | None = None
    """The newest that somebody has begun to write; who has looked an older one up leaves it to them."""
    taken: datetime | None = None
    """The newest that is written."""
    labelled: set[int] = Field(default_factory=set)
    """Frames that were ever said something of: the others need no look where nothing is said of them."""

    def begin(self, outcome: Outcome) -> None:
        if self.begun is None or self.begun <= outcome.at:
            self.begun = outcome.at
            self.labelled |= {frame.number for frame in outcome.frames if frame.content is not None}

    def end(self, at: datetime) -> None:
        self.taken = max(at, self.taken or at)


class Worker:
    """Works on the queue."""

    def __init__(
        self,
        stores: tuple[BlobStore, BlobStore],
        sources: Sources,
        queue: Queue,
        cvat: CvatApi,
        waker: Waker,
        clock: Callable[[], datetime],
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`stores` are the container of users' files and the one that only we write."""
        self._data, self._system = stores
        self._sources, self._queue, self._cvat, self._waker = sources, queue, cvat, waker
        self._dice, self._clock = dice, clock
        self._taken, self._notes, self._kept = Taken(self._system, clock), Notes(self._system), Kept(self._system)

    def work(self, body: str) -> None:
        """Do what a message asks for; what was done already, or is of nobody, is nothing.

        Storage that is away for a moment does not use up the few times that a queue message is tried.

        Raises:
            BadRequest: the message is not one of ours.
        """
        try:
            message = Message.model_validate_json(body)
        except ValidationError:
            raise BadRequest("A message of inbound work has source, body and attempt") from None
        attempts = 1
        try:
            if (begun := self._begun(message)) is not None:
                source, kept, attempts = begun
                self._job(message, source, kept)
        except (Upstream, ChangedMeanwhile) as error:
            log.warning("Inbound work waits for storage: %s", error.detail)
            self._queue.send(body, delay=STORAGE_SECONDS * min(attempts, PATIENT_STORAGE))
            if attempts >= PATIENT_STORAGE:
                self._stuck(message, source, attempts, error)

    def _stuck(self, message: Message, source: Source, attempts: int, error: VisionloopError) -> None:
        """Storage that refuses one name for good looks as if it were away; where it is, this is said later."""
        found = f"{error.detail} (attempt {attempts}; it is tried again)"
        folder = LABEL_STUDIO if source.kind == "label_studio" else FOLDER
        said = problem("inbound-failed", f"labels/{folder}", "a message", expected=_STORED, found=found)
        reason = f"What a labelling tool sent cannot be stored: {found}"
        with suppress(Upstream):
            self._notes.put(source.loop, message.body, Note(source=source.id, reason=reason, problems=[said]))
            self._waker.wake(source.loop, "a labelling tool's work could not be taken")

    def look_again(self) -> None:
        """Queue what is kept and has nobody who works on it, and tell where that was no chance."""
        Overdue(self._system, self._sources, self._queue, self._waker, self._clock).look()

    def _begun(self, message: Message) -> tuple[Source, Blob, int] | None:
        """A body that was worked off is gone, and one of a source that is gone goes too."""
        try:
            source = self._sources.get(message.source)
        except NotFound:
            self._kept.drop(message)
            return None
        try:
            return source, *self._kept.begin(message, self._clock())
        except NotFound:
            self._notes.clear(source.loop, source.id, message.body)
            return None

    def _job(self, message: Message, source: Source, body: Blob) -> None:
        """What is wrong was refused when it came, unless what is right has changed since."""
        try:
            if source.kind == "label_studio":
                self._annotations(message, source, body.data)
            elif (found := announced(body.data)) is not None:
                self._cvat_job(message, source, found, body.etag)
            else:
                self._drop(message, source)
        except BadRequest as error:
            folder = LABEL_STUDIO if source.kind == "label_studio" else FOLDER
            said = problem("inbound-failed", f"labels/{folder}", "a message", expected=_READABLE, found=error.detail)
            reason = f"A message that was kept cannot be read any more: {error.detail}"
            self._notes.put(source.loop, MESSAGES, Note(source=source.id, reason=reason, problems=[said]))
            self._waker.wake(source.loop, "a labelling tool's work could not be taken")
            self._drop(message, source)

    def _drop(self, message: Message, source: Source) -> None:
        """What was told of its being overdue goes last: with the body gone a repetition ends it too."""
        self._kept.drop(message)
        self._notes.clear(source.loop, source.id, message.body)

    def _annotations(self, message: Message, source: Source, content: bytes) -> None:
        """In threads, as a message may be about thousands; those of one image in one, as they change one document."""
        newest, now = Newest(self._data, self._system, source.id, source.loop), self._clock()
        if tasks := deleted_tasks(content):
            self._tasks_deleted(message, source, len(tasks), newest.files_of_tasks(tasks))
            return
        by_image: dict[str, list[Change]] = {}
        changes, refused = changes_and_refusals(content)
        for each in changes:
            by_image.setdefault(each.file or each.annotation, []).append(each)
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(lambda changes: apply(changes, newest, now), by_image.values()):
                pass
        if refused:
            self._refused(source, refused, len(changes) + len(refused))
        else:
            self._notes.clear(source.loop, source.id, MESSAGES)
        self._drop(message, source)

    def _refused(self, source: Source, refused: list[str], count: int) -> None:
        said = [
            problem("inbound-failed", f"labels/{LABEL_STUDIO}", "an annotation", expected=_TAKEABLE, found=each)
            for each in refused
        ]
        reason = f"{len(refused)} of {count} annotations of Label Studio could not be taken: {refused[0]}"
        self._notes.put(source.loop, MESSAGES, Note(source=source.id, reason=reason, problems=said))
        self._waker.wake(source.loop, "a labelling tool's work could not be taken")

    def _tasks_deleted(self, message: Message, source: Source, count: int, files: list[str]) -> None:
        """Tasks are deleted to take labels back, and to make room once they are done: labels stay, and it is said."""
        if files:
            named = ", ".join(files[:MOST_NAMED]) + ("" if len(files) <= MOST_NAMED else ", …")
            found = f"{count} tasks were deleted, of which labels stay: {named}"
            said = problem("inbound-failed", f"labels/{LABEL_STUDIO}", "tasks", expected=_UNTASKED, found=found)
            reason = f"Label Studio's deletion of tasks takes no labels back: {found}"
            self._notes.put(source.loop, MESSAGES, Note(source=source.id, reason=reason, problems=[said]))
            self._waker.wake(source.loop, "tasks of a labelling tool were deleted")
        self._drop(message, source)

    def _cvat_job(self, message: Message, source: Source, found: Announced, etag: str) -> None:
        """CVAT tells each saving of a completed job: those before what was looked up last need no look."""
        job, _ = read(self._system, _job_blob(source, found.job), _Job)
        if job.taken is not None and found.at <= job.taken:
            self._over(message, source)
            return
        try:
            documents = self._documents(source, found)
            outcome = read_job(documents) if documents else None
        except VisionloopError as error:
            self._failed(message, source, found, error, etag)
            return
        if outcome:
            self._write(source, outcome)
        self._done(message, source, found, outcome)

    def _documents(self, source: Source, found: Announced) -> Documents | None:
        if found.documents is not None:
            return found.documents
        if not source.address:
            raise BadRequest("The source has no address and token of CVAT to look the job up with")
        return self._cvat.documents(Server(source.address, source.token), found.job)

    def _write(self, source: Source, outcome: Outcome) -> None:
        """In threads, as a job may have thousands of frames, and each takes storage some answers."""
        newest, blob = Newest(self._data, self._system, source.id, source.loop), _job_blob(source, outcome.job)
        job = change(self._system, blob, _Job, lambda job: job.begin(outcome))
        if job.begun != outcome.at:
            return

        def put(frame: Frame) -> None:
            file = newest.own(frame.file, frame.image, frame.whole)
            newest.merge(f"{outcome.job}:{frame.number}", file, Entry(at=outcome.at, content=frame.content))

        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(put, (frame for frame in outcome.frames if frame.number in job.labelled)):
                pass
        change(self._system, blob, _Job, lambda job: job.end(outcome.at))

    def _done(self, message: Message, source: Source, found: Announced, outcome: Outcome | None) -> None:
        """What was taken is noted last but for the body, without which nothing is done again."""
        if outcome and outcome.problems:
            reason = f"CVAT, job {found.job}: {len(outcome.problems)} of its frames are no images"
            self._note(source, found, Note(source=source.id, reason=reason, problems=[*outcome.problems]))
        else:
            self._notes.clear(source.loop, source.id, str(found.job))
            self._waker.wake(source.loop, "a job of CVAT was taken")
        self._over(message, source)

    def _over(self, message: Message, source: Source) -> None:
        self._taken.note(source.id, message.body)
        self._drop(message, source)

    def _failed(self, message: Message, source: Source, found: Announced, error: VisionloopError, etag: str) -> None:
        """Queue the next attempt, where one may help, and say what is wrong."""
        asked = error.extra.get("retry_after")
        wait = pause(message.attempt, asked if isinstance(asked, float) else None, self._dice())
        is_over = wait is None or not isinstance(error, Upstream)
        log.warning("Job %s of source %s, attempt %s: %s", found.job, source.id, message.attempt, error.detail)
        if wait is not None and not is_over:
            following = message.model_copy(update={"attempt": message.attempt + 1})
            self._queue.send(following.model_dump_json(), delay=wait)
            self._kept.wait(following, etag, self._clock() + timedelta(seconds=wait))
        if is_over or isinstance(error, UpstreamRefused) or message.attempt >= PATIENT_ATTEMPTS:
            then = "it is not tried again" if wait is None or is_over else f"tried again in {wait:.0f} s"
            text = f"{error.detail} ({then})"
            said = problem("inbound-failed", f"labels/{FOLDER}", f"job {found.job}", expected=_EXPECTED, found=text)
            self._note(source, found, Note(source=source.id, reason=f"CVAT, job {found.job}: {text}", problems=[said]))
        if is_over:
            self._drop(message, source)

    def _note(self, source: Source, found: Announced, note: Note) -> None:
        self._notes.put(source.loop, str(found.job), note)
        self._waker.wake(source.loop, "a labelling tool's work could not be taken")


_EXPECTED = "the annotations of the job"
_UNTASKED = "annotations deleted before their tasks; or delete the files, if these labels are not to be learnt"
_TAKEABLE = "annotations of images"
_STORED = "storage that takes its labels"
_READABLE = "a message as the labelling tool sends it"


def _job_blob(source: Source, job: int) -> str:
    return f"inbound/{source.id}/jobs/{job}.json"
