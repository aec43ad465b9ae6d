"""A circuit breaker for one slot: after failures in a row only one request now and then tries it."""

from __future__ import annotations

import threading
from collections.abc import Callable

FAILURES = 5
"""So many in a row open it."""
FIRST_SECONDS, MOST_SECONDS = 2.0, 60.0
"""How long it stays open at first; each failed try doubles that."""


class Breaker:
    """Closed, open, or half open: then one request at a time goes through. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` in seconds, never backwards."""
        self._clock, self._lock = clock, threading.Lock()
        self._failures, self._rest = 0, FIRST_SECONDS
        self._due = 0.0
        """When the slot is tried again, while open."""

    def enter(self) -> float:
        """Seconds until the slot may be asked: 0 lets this request go, which must tell `done` how it went."""
        if self._failures < FAILURES:
            return 0.0
        with self._lock:
            now = self._clock()
            if self._failures >= FAILURES and now < self._due:
                return self._due - now
            self._due = now + self._rest  # this one tries; the others wait as long as a failure would make them
            return 0.0

    def done(self, *, failed: bool) -> None:
        """How a request went that was let go."""
        if not failed and not self._failures:
            return  # as nearly always: no lock on the way of a prediction
        with self._lock:
            if not failed:
                self._failures, self._rest = 0, FIRST_SECONDS
                return
            self._failures += 1
            if self._failures > FAILURES:
                self._rest = min(2 * self._rest, MOST_SECONDS)
            if self._failures >= FAILURES:
                self._due = self._clock() + self._rest
