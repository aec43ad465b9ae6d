"""Keeps receivers that are slow or dead from taking the places of all others in a process."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

MOST_AT_ONCE = 2
"""Attempts at one receiver under way in a process. A host gives deliveries eight places, and more by core."""
MOST_SLOW = 4
"""Attempts at all slow receivers together: the other places stay free for those that answer."""
SLOW_SECONDS = 2.0
WAIT_SECONDS, WAIT_FOR_SLOW_SECONDS = 1.0, 15.0


class Lanes:
    """Who is being delivered to in this process, and who was slow the last time. All of it may be called at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds."""
        self._clock, self._lock = clock, threading.Lock()
        self._busy: dict[str, list[float]] = {}
        self._slow: set[str] = set()

    def enter(self, receiver: str) -> float:
        """Take a place: 0 where there is one, else the seconds after which to ask again."""
        with self._lock:
            slow, busy = self._is_slow(receiver), self._busy.setdefault(receiver, [])
            if len(busy) < MOST_AT_ONCE and not (slow and self._slow_places() >= MOST_SLOW):
                busy.append(self._clock())
                return 0.0
        return (WAIT_FOR_SLOW_SECONDS if slow else WAIT_SECONDS) * (1 + random.random())

    def leave(self, receiver: str) -> None:
        """Give the oldest place back; whether it took long is remembered."""
        with self._lock:
            lasted = self._clock() - self._busy[receiver].pop(0)
            (self._slow.add if lasted > SLOW_SECONDS else self._slow.discard)(receiver)
            if not self._busy[receiver]:
                del self._busy[receiver]

    def _is_slow(self, receiver: str) -> bool:
        since = min(self._busy.get(receiver) or [self._clock()])
        return receiver in self._slow or self._clock() - since > SLOW_SECONDS

    def _slow_places(self) -> int:
        return sum(len(busy) for receiver, busy in self._busy.items() if self._is_slow(receiver))
