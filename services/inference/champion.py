"""Who is live: the loop's state, read by plain HTTP and remembered for a moment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import quote

import urllib3

from services.cloud import identity
from services.cloud.http import pool
from services.errors import NoChampion, NotFound, Upstream, UpstreamBusy, Waking
from services.inference.targets import answering, challenger, explicit
from services.loop_config import Capture
from services.names import check_loop_name, state_blob, unknown_loop
from services.settings import Settings
from services.state import Champion, LoopState, Resting
from services.status.progress import doing, progress
from services.threads import in_thread

FRESH_SECONDS = 2.0
STALE_SECONDS = 300.0
"""While storage does not answer, what was known this long ago still serves."""
WAKING_SECONDS = 60
"""When to ask again while a slot is being woken."""
API_VERSION = "2021-08-06"

TIMEOUT_SECONDS = 5.0
log = logging.getLogger(__name__)

Read = Callable[[str, str], tuple[int, str, bytes]]
"""Blob name and known ETag to status (200, 304, 404), ETag and body."""


class StateReader:
    """Reads a blob of the system container: https://learn.microsoft.com/rest/api/storageservices/get-blob."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is read yet."""
        self._base = f"{settings.system_blob_uri.rstrip('/')}/{settings.system_container}"

    def __call__(self, name: str, etag: str) -> tuple[int, str, bytes]:
        """Ask once.

        Raises:
            Upstream: storage did not answer, or not as it should.
        """
        headers = {"authorization": f"Bearer {identity.token(identity.STORAGE)}", "x-ms-version": API_VERSION}
        if etag:
            headers["if-none-match"] = etag
        try:
            answer = pool().request("GET", f"{self._base}/{quote(name)}", headers=headers, timeout=TIMEOUT_SECONDS)
        except urllib3.exceptions.HTTPError as error:
            raise Upstream(f"Storage did not answer: {type(error).__name__}") from None
        if answer.status not in {200, 304, 404}:
            raise (UpstreamBusy if answer.status in {429, 503} else Upstream)(f"Storage answered {answer.status}")
        return answer.status, answer.headers.get("etag", ""), answer.data


@dataclass(slots=True)
class _Known:
    lock: threading.Lock = field(default_factory=threading.Lock)
    etag: str = ""
    state: LoopState | None = None
    due: float = float("-inf")
    """When storage is asked again."""
    read: float = float("-inf")
    """When storage answered last."""
    failure: Upstream | None = None
    """The last time that it did not, and nothing was known."""

    def take(self, status: int, etag: str, body: bytes, now: float) -> None:
        """What storage answered; 304 means that nothing changed."""
        if status == 200:
            self.state, self.etag = LoopState.model_validate_json(body), etag
        elif status == 404:
            self.state, self.etag = None, ""
        self.read = now


@dataclass(frozen=True, slots=True)
class Live:
    """Who may answer: the champion, and while a rollout is watched a challenger with a share in percent."""

    champion: Champion
    challenger: Champion | None = None
    share: int = 0
    mirror: int = 0
    """Percent of the requests that are copied to the challenger."""
    watching: str = ""
    """Where the counts of what the slots do are kept; empty while nobody watches."""


class Champions:
    """Remembers each loop's state for a few seconds; one request at a time asks for news, the others do not wait.

    What is known costs no thread; news come by one, as they are waited for.
    """

    def __init__(
        self,
        read: Read,
        clock: Callable[[], float] = time.monotonic,
        on_use: Callable[[LoopState], object] = lambda _: None,
    ) -> None:
        """`clock` in seconds, never backwards; `on_use` is told of every loop with a champion that is asked for."""
        self._read, self._clock, self._on_use = read, clock, on_use
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    async def champion(self, loop: str, *, fresh: bool = False) -> Champion:
        """The live model of a loop; `fresh` asks storage whatever is remembered.

        Raises:
            BadRequest, NotFound: there is no such loop.
            NoChampion: saying how far the loop is.
        """
        return (await self.live(loop, fresh=fresh)).champion

    async def live(self, loop: str, *, fresh: bool = False) -> Live:
        """The same with the challenger, where a share of the requests is to go to one."""
        if fresh and (known := self._known.get(loop)):
            known.due = float("-inf")
        state = await self._state(loop)
        if state.champion is None:
            raise _no_champion(state)
        self._on_use(state)
        if state.resting is not None and state.resting.kind == "remove":
            raise _waking(state, state.resting)
        if state.guard.repair is not None and state.guard.repair.trouble != "traffic":
            raise _returning(state)
        return _live(state, state.champion)

    async def explicit(self, loop: str, slot: str, version: str) -> Champion:
        """The model in a slot, or of a version, that the caller names; empty where it is all the same.

        Raises:
            BadRequest: there is no such slot.
            NotFound: nothing that answers is there.
        """
        champion = await self.champion(loop)
        return explicit(await self._state(loop), champion, slot, version)

    def capture(self, loop: str) -> Capture | None:
        """Which predictions' images the loop keeps, as far as is known: answers that are there wait for no storage."""
        known = self._known.get(loop)
        return None if known is None or known.state is None else known.state.config.config.capture

    async def answering(self, loop: str) -> list[Champion]:
        """All models that answer now, the champion first.

        Raises:
            BadRequest, NotFound, NoChampion: as `champion` does.
        """
        champion = await self.champion(loop)
        return answering(await self._state(loop), champion)

    async def _state(self, loop: str) -> LoopState:
        known = self._known.get(loop)
        if known is not None and known.state is not None and (self._clock() < known.due or known.lock.locked()):
            return known.state
        return await in_thread(partial(self._look, check_loop_name(loop)))

    def _look(self, loop: str) -> LoopState:
        with self._lock:
            known = self._known.setdefault(loop, _Known())
        before = known.failure
        try:
            if self._clock() >= known.due and known.lock.acquire(blocking=known.state is None):
                try:
                    self._renew(loop, known, before)
                finally:
                    known.lock.release()
        finally:
            if known.state is None:
                with self._lock:
                    self._known.pop(loop, None)  # names that are no loops are not collected
        if known.state is None:
            raise NotFound(unknown_loop(loop))
        return known.state

    def _renew(self, loop: str, known: _Known, before: Upstream | None) -> None:
        if (failure := known.failure) is not before and failure is not None:
            raise _alike(failure)  # another request has just waited for it
        now = self._clock()
        if now < known.due:
            return  # another request has just done it
        try:
            status, etag, body = self._read(state_blob(loop), known.etag)
        except Upstream as error:
            if known.state is None or now - known.read > STALE_SECONDS:
                known.failure = _alike(error)
                raise
            log.warning("The state of %s is %.0f s old: %s", loop, now - known.read, error.detail)
        else:
            known.take(status, etag, body, now)
        known.due = now + FRESH_SECONDS


def _alike(error: Upstream) -> Upstream:
    """One that holds nobody's frames."""
    return type(error)(error.detail, **error.extra)


def _waking(state: LoopState, resting: Resting) -> Waking:
    said = f"{state.loop} rested since {resting.since:%Y-%m-%d %H:%M} UTC, as nobody asked, and is being woken"
    return Waking(f"{said}; that takes minutes", loop=state.loop, retry_after=WAKING_SECONDS)


def _returning(state: LoopState) -> Waking:
    said = f"The live model of {state.loop} is being brought back: {state.guard.reason}"
    return Waking(f"{said}; that takes minutes", loop=state.loop, retry_after=WAKING_SECONDS)


def _live(state: LoopState, champion: Champion) -> Live:
    rollout = state.rollout
    if rollout is None or not rollout.watching:
        return Live(champion)
    if not rollout.share and not rollout.mirror:
        return Live(champion, watching=rollout.watching)
    other = challenger(state, champion, rollout)
    return Live(champion, other, rollout.share, rollout.mirror, rollout.watching)


def _no_champion(state: LoopState) -> NoChampion:
    found = progress(state)
    counted = f"{state.loop} has {state.catalogue.labelled} labelled images"
    toward = f" ({found['have']} of {found['of']} toward {found['toward']})"
    return NoChampion(f"{counted}{toward}. {doing(state)}", loop=state.loop, doing=doing(state), progress=found)
