"""Who is live: the loop's state, read by plain HTTP and remembered for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import quote

import urllib3

from services.cloud import identity
from services.cloud.http import pool
from services.errors import NoChampion, NotFound, Upstream, UpstreamBusy
from services.names import check_loop_name, state_blob
from services.settings import Settings
from services.state import Champion, LoopState

FRESH_SECONDS = 2.0
STALE_SECONDS = 300.0
"""While storage does not answer, what was known this long ago still serves."""
API_VERSION = "2021-08-06"

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
            answer = pool().request("GET", f"{self._base}/{quote(name)}", headers=headers, timeout=10.0)
        except urllib3.exceptions.HTTPError as error:
            raise Upstream(f"Storage did not answer: {type(error).__name__}") from None
        if answer.status not in {200, 304, 404}:
            raise (UpstreamBusy if answer.status in {429, 503} else Upstream)(f"Storage answered {answer.status}")
        return answer.status, answer.headers.get("etag", ""), answer.data


class _Known:
    __slots__ = ("etag", "lock", "read", "state")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.etag, self.read = "", float("-inf")
        self.state: LoopState | None = None


class Champions:
    """Remembers each loop's state for a few seconds; one request at a time asks for news, the others do not wait."""

    def __init__(self, read: Read, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds, never backwards."""
        self._read, self._clock = read, clock
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def champion(self, loop: str) -> Champion:
        """The live model of a loop.

        Raises:
            BadRequest, NotFound: there is no such loop.
            NoChampion: saying how far the loop is.
        """
        state = self._state(check_loop_name(loop))
        if state.champion is None:
            raise NoChampion(*_how_far(state))
        return state.champion

    def _state(self, loop: str) -> LoopState:
        with self._lock:
            known = self._known.setdefault(loop, _Known())
        age = self._clock() - known.read
        if known.state is not None and age < FRESH_SECONDS:
            return known.state
        if known.lock.acquire(blocking=known.state is None):
            try:
                self._renew(loop, known)
            except Upstream:
                if known.state is None or self._clock() - known.read > STALE_SECONDS:
                    raise
            finally:
                known.lock.release()
        if known.state is None:
            with self._lock:
                self._known.pop(loop, None)  # names that are no loops are not collected
            raise NotFound(f"There is no loop named {loop}")
        return known.state

    def _renew(self, loop: str, known: _Known) -> None:
        if known.state is not None and self._clock() - known.read < FRESH_SECONDS:
            return  # another request has just done it
        status, etag, body = self._read(state_blob(loop), known.etag)
        if status == 200:
            known.state, known.etag = LoopState.model_validate_json(body), etag
        elif status == 404:
            known.state, known.etag = None, ""
        known.read = self._clock()


def _how_far(state: LoopState) -> tuple[str]:
    catalogue, active = state.catalogue, state.active_run
    counted = f"{state.loop} has {catalogue.labelled} labelled images"
    if state.rollout is not None and not state.rollout.outcome:
        return (f"{counted}; its first model is being rolled out, step {state.rollout.step}",)
    if active is not None:
        return (f"{counted}; training run {active.number} is {active.phase or active.status}",)
    stage = "training" if state.datasets else "dataset"
    reason = state.reasons.get(stage) or "nothing is known yet"
    return (f"{counted}; {reason}",)
