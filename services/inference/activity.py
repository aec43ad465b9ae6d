"""Notes, seldom and from a thread of its own, when a loop was asked for a prediction, and when nobody was there for it.

A loop that rests, or whose slot was missed, is woken.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from services.errors import VisionloopError
from services.names import activity_blob, missed_blob
from services.state import LoopState

EVERY_SECONDS = 600.0
"""While a loop is asked all the time, this often."""
RESTING_SECONDS = 15.0
MISSED_SECONDS = 60.0
SHARE_OF_IDLE = 20
log = logging.getLogger(__name__)


class Activity:
    """At most one small blob is written a loop and process in these times; no request waits for it."""

    def __init__(
        self,
        write: Callable[[str, bytes], object],
        wake: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`write` takes a blob's name and bytes, `wake` has a loop looked at; both may take their time and fail."""
        self._write, self._wake, self._clock = write, wake, clock
        self._lock = threading.Lock()
        self._noted: dict[str, float] = {}

    def note(self, state: LoopState) -> None:
        """A prediction of a loop is asked for."""
        loop, interval = state.loop, _interval(state)
        if self._is_due(loop, interval):
            self._begin(loop, loop, activity_blob(loop), interval, state.resting is not None)

    def missed(self, loop: str) -> None:
        """Nobody was there to answer for the live model of a loop: it is looked at soon."""
        name = missed_blob(loop)
        if self._is_due(name, MISSED_SECONDS):
            self._begin(loop, name, name, MISSED_SECONDS, True)

    def _is_due(self, key: str, interval: float) -> bool:
        now = self._clock()
        with self._lock:
            if now - self._noted.get(key, float("-inf")) < interval:
                return False
            self._noted[key] = now
        return True

    def _begin(self, *arguments: object) -> None:
        threading.Thread(target=self._tell, args=arguments, daemon=True).start()

    def _tell(self, loop: str, key: str, name: str, interval: float, wakes: bool) -> None:
        try:
            self._write(name, json.dumps({"last": datetime.now(UTC).isoformat()}).encode())
            if wakes:
                self._wake(loop)
        except VisionloopError as error:
            log.warning("That %s is asked could not be noted: %s", loop, error.detail)
            with self._lock:  # soon again, but not with every request: storage that is down needs no storm
                self._noted[key] = self._clock() - interval + RESTING_SECONDS


def _interval(state: LoopState) -> float:
    hours = state.config.config.endpoint.idle_after_hours
    if state.resting is not None:
        return RESTING_SECONDS
    return EVERY_SECONDS if hours is None else min(EVERY_SECONDS, 3600 * hours / SHARE_OF_IDLE)
