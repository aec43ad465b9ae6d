"""Predictions that nobody waits for: kept as blobs, made from a queue, told by a webhook, forgotten after some hours.

`predictions/<loop>/<id>/<hash>.body` and `asked.json` hold the request, `content` and `outcome.json` what came of it. A
body is there before its `asked.json`, and content before its outcome, so that whatever is seen is whole. A message done
twice finds the outcome and ends; the event of a prediction has one id.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from services.cloud.ports.storage import BlobInfo, BlobStore, Queue
from services.errors import (
    BadRequest,
    ChangedMeanwhile,
    Conflict,
    NotFound,
    Upstream,
    UpstreamRefused,
    VisionloopError,
    Waking,
)
from services.inference.body import check_body, check_count
from services.inference.predict import Predictor, Reply, Request
from services.names import LOOP, check_loop_name, digest
from services.problem import problem
from services.settings import Settings
from services.state import Event
from services.threads import in_thread
from services.webhooks.dispatch import Dispatcher
from services.webhooks.registry import Registry

FOLDER = "predictions/"
API = "/api"
ATTEMPTS = 5
"""As often as host.json has a message tried; the last failure is the outcome."""
AWAY_SECONDS = 60.0
"""Where storage cannot say what was asked for, or take whom to tell, the message is sent again after this long."""
LOST = timedelta(hours=1)
"""After the last attempt began, whose time a function limits, nothing more comes of it."""
_ID = re.compile(r"[0-9a-f]{32}")
_KEPT_HEADERS = ("content-type", "accept", "x-client-key")
_KEPT_QUERY = ("threshold", "top_k", "render", "slot", "version")
log = logging.getLogger(__name__)


class Asked(BaseModel):
    """A request that waits."""

    id: str
    loop: str
    body: str
    """The blob of its body; with the rest of this, what an `Idempotency-Key` stands for."""
    headers: dict[str, str]
    query: dict[str, str]
    notify: str = ""
    at: datetime


class _Outcome(BaseModel):
    status: int
    content_type: str
    headers: dict[str, str] = Field(default_factory=dict)


class _Message(BaseModel):
    loop: str = Field(pattern=rf"^{LOOP.pattern}$")
    id: str = Field(pattern=r"^[0-9a-f]{32}$")


class Shown(NamedTuple):
    """An HTTP answer with its status."""

    status: int
    reply: Reply


class Later:
    """Takes, makes and shows predictions that nobody waits for."""

    def __init__(
        self,
        system: BlobStore,
        queue: Queue,
        predictor: Predictor,
        webhooks: tuple[Registry, Dispatcher],
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        """`queue` is what the function `predict_later` reads."""
        self._system, self._queue, self._predictor = system, queue, predictor
        self._registry, self._dispatcher = webhooks
        self._settings, self._clock = settings, clock

    async def accept(self, request: Request, below: str = API, who: str = "") -> Shown:
        """Keep a request and queue it: 202 with the address of its outcome, which lies `below` another.

        The same `Idempotency-Key` with the same request is the same prediction; keys of others than `who` are others.

        Raises:
            BadRequest, NotFound, NoChampion: the request makes no sense now.
            Conflict: the key was used for another request, or the webhook to notify is disabled.
        """
        try:
            await self._predictor.check(request)
        except Waking:  # who does not wait does not mind
            check_body(len(request.body), self._settings)
            check_count(min(len(request.body), 1), self._settings)
        return _waiting(await in_thread(partial(self._keep, request, who)), below)

    def _keep(self, request: Request, who: str) -> Asked:
        asked = self._asked(request, who)
        self._system.write(asked.body, request.body)
        try:
            self._system.write(
                f"{_folder(asked.loop, asked.id)}asked.json", asked.model_dump_json().encode(), create=True
            )
        except ChangedMeanwhile:
            self._check_same(asked)
        self._queue.send(json.dumps({"loop": asked.loop, "id": asked.id}))
        return asked

    def show(self, loop: str, number: str, below: str = API) -> Shown:
        """What came of a prediction: as if it had been waited for, or 202 while it is not made.

        Raises:
            NotFound: there is none, or no longer.
        """
        asked = self._read(check_loop_name(loop), number)
        outcome = self._outcome(asked)
        if outcome is None:
            return _waiting(asked, below)
        content = self._system.read(f"{_folder(loop, number)}content").data
        return Shown(outcome.status, Reply(content, outcome.content_type, outcome.headers))

    async def make(self, body: str, attempt: int) -> None:
        """Make the prediction of a message; `attempt` counts how often it was tried, from 1.

        Raises:
            BadRequest: the message is not one of ours.
            Upstream: what may pass by; not at the last attempt, whose failure is the outcome where storage takes it.
        """
        try:
            asked, outcome = await in_thread(partial(self._taken, body, attempt))
        except Upstream as error:
            if attempt < ATTEMPTS:
                raise
            await self._again(body, error)
            return
        try:
            outcome = outcome or await self._make(asked, attempt)
        except Waking as error:  # it takes longer than all attempts; what is forgotten meanwhile ends it
            log.info("Prediction %s waits: %s", asked.id, error.detail)
            await in_thread(partial(self._queue.send, body, delay=float(str(error.extra.get("retry_after", 0)))))
            # not before: where we die between, somebody knows
            await in_thread(partial(self._system.delete, _last(asked)))
            return
        if asked.notify:
            try:
                await in_thread(partial(self._tell, asked, outcome.status))
            except Upstream as error:
                if attempt < ATTEMPTS:
                    raise
                await self._again(body, error)

    async def _again(self, body: str, error: Upstream) -> None:
        log.warning("A prediction waits, as storage is away: %s", error.detail)
        await in_thread(partial(self._queue.send, body, delay=AWAY_SECONDS))

    def forget(self) -> int:
        """Delete what is older than it is kept, and end what nobody makes any more; returns how many blobs are gone.

        All of a prediction at once, and what was asked last: an outcome that stayed would be that of the next request
        with its `Idempotency-Key`.
        """
        oldest = self._clock() - timedelta(hours=self._settings.prediction_hours)
        kept = [*self._system.list(FOLDER)]
        self._end_lost(kept)
        young = {_folder_of(blob.name) for blob in kept if blob.modified >= oldest}
        old = [blob.name for blob in kept if _folder_of(blob.name) not in young]
        for name in sorted(old, key=lambda name: name.endswith("/asked.json")):
            self._system.delete(name)
        return len(old)

    def _end_lost(self, kept: Sequence[BlobInfo]) -> None:
        """Of processes that died at every attempt nobody would hear again."""
        names, latest = {blob.name for blob in kept}, self._clock() - LOST
        last = (_folder_of(blob.name) for blob in kept if blob.name.endswith("/last.json") and blob.modified < latest)
        for folder in (each for each in last if f"{each}/outcome.json" not in names):
            with suppress(NotFound):
                asked = self._read(*folder.split("/")[1:])
                self._end(asked, *_refusal(Upstream(f"Each of {ATTEMPTS} attempts ended without an answer")))
                if asked.notify:
                    self._tell(asked, Upstream.status)

    def _taken(self, body: str, attempt: int) -> tuple[Asked, _Outcome | None]:
        try:
            message = _Message.model_validate_json(body)
            asked = self._read(message.loop, message.id)
        except (ValidationError, NotFound):
            raise BadRequest("A message of predictions names a loop and a prediction that is kept") from None
        outcome = self._outcome(asked)
        if outcome is None and attempt >= ATTEMPTS:
            self._system.write(_last(asked), b"{}")
        return asked, outcome

    def _asked(self, request: Request, who: str) -> Asked:
        key, notify = request.headers.get("idempotency-key", ""), request.query.get("notify", "")
        if notify:
            self._registry.receiving(notify)
        named = (request.loop, key, who) if who else (request.loop, key)
        number = digest(*named, length=32) if key else uuid.uuid4().hex
        content = hashlib.sha256(request.body).hexdigest()[:32]
        return Asked(
            id=number,
            loop=request.loop,
            body=f"{_folder(request.loop, number)}{content}.body",
            headers={name: value for name in _KEPT_HEADERS if (value := request.headers.get(name))},
            query={name: request.query[name] for name in _KEPT_QUERY if name in request.query},
            notify=notify,
            at=self._clock(),
        )

    def _check_same(self, asked: Asked) -> None:
        before = self._read(asked.loop, asked.id)
        if before.model_copy(update={"at": asked.at}) != asked:
            raise Conflict("The Idempotency-Key was used for another request")

    def _read(self, loop: str, number: str) -> Asked:
        if not _ID.fullmatch(number):
            raise NotFound("There is no such prediction")
        try:
            return Asked.model_validate_json(self._system.read(f"{_folder(loop, number)}asked.json").data)
        except NotFound:
            hours = self._settings.prediction_hours
            raise NotFound(f"There is no such prediction; they are kept for {hours:g} hours") from None

    def _outcome(self, asked: Asked) -> _Outcome | None:
        try:
            found = self._system.read(f"{_folder(asked.loop, asked.id)}outcome.json")
        except NotFound:
            return None
        return _Outcome.model_validate_json(found.data)

    async def _make(self, asked: Asked, attempt: int) -> _Outcome:
        try:
            kept = await in_thread(lambda: self._system.read(asked.body))
            request = Request(asked.loop, kept.data, asked.headers, asked.query)
            reply, status = await self._predictor.reply(request), 200
        except VisionloopError as error:
            if isinstance(error, Waking):
                raise
            if isinstance(error, Upstream) and not isinstance(error, UpstreamRefused) and attempt < ATTEMPTS:
                raise
            status, reply = _refusal(error)
        return await in_thread(partial(self._end, asked, status, reply))

    def _end(self, asked: Asked, status: int, reply: Reply) -> _Outcome:
        outcome = _Outcome(status=status, content_type=reply.content_type, headers=reply.headers)
        folder = _folder(asked.loop, asked.id)
        self._system.write(f"{folder}content", reply.content)
        self._system.write(f"{folder}outcome.json", outcome.model_dump_json().encode())
        return outcome

    def _tell(self, asked: Asked, status: int) -> None:
        reason = "The prediction is made" if status == 200 else f"The prediction failed: {status}"
        told = {"prediction": asked.id, "status": status, "path": _path(asked, API)}
        event = Event(
            id=f"{asked.loop}-prediction-{asked.id}",
            source=f"/visionloop/loops/{asked.loop}",
            type="visionloop.prediction.done",
            subject=asked.loop,
            time=asked.at,
            data={"loop": asked.loop, "reason": reason, **told},
        )
        try:
            self._dispatcher.send(event, asked.notify)
        except NotFound:
            log.info("The webhook of prediction %s is gone", asked.id)


def _folder(loop: str, number: str) -> str:
    return f"{FOLDER}{loop}/{number}/"


def _last(asked: Asked) -> str:
    return f"{_folder(asked.loop, asked.id)}last.json"


def _refusal(error: VisionloopError) -> tuple[int, Reply]:
    status, headers, content = problem(error)
    return status, Reply(content, headers.pop("content-type"), headers)


def _folder_of(name: str) -> str:
    return name.rpartition("/")[0]


def _path(asked: Asked, below: str) -> str:
    return f"{below}/loops/{asked.loop}/predictions/{asked.id}"


def _waiting(asked: Asked, below: str) -> Shown:
    path = _path(asked, below)
    body: dict[str, Any] = {"id": asked.id, "loop": asked.loop, "status": "waiting", "path": path}
    headers = {"location": path, "retry-after": "1", "preference-applied": "respond-async"}
    return Shown(202, Reply(json.dumps(body).encode(), "application/json", headers))
