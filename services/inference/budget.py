"""A retry budget: repetitions are a tenth of the requests at most, so that they never bury a slot that is down.

The scheme is gRPC's retry throttling (https://github.com/grpc/proposal/blob/master/A6-client-retries.md).
"""

from __future__ import annotations

import threading

MOST = 10.0
EARNED = 0.1


class Budget:
    """A bucket of tokens; safe to share between threads."""

    def __init__(self) -> None:
        """It starts full."""
        self._tokens, self._lock = MOST, threading.Lock()

    def earn(self) -> None:
        """A request came."""
        if self._tokens < MOST:
            with self._lock:
                self._tokens = min(MOST, self._tokens + EARNED)

    def spend(self) -> bool:
        """Whether one more repetition may be made."""
        with self._lock:
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True
