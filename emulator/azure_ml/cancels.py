"""Cancelling: at once, or, where a fault says so, after a while in which the job goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from emulator.azure_ml.faults import Faults
from emulator.azure_ml.runs import CANCELING, Runs


class Cancels:
    """Wishes to cancel that are not fulfilled yet."""

    def __init__(self, runs: Runs, faults: Faults, end: Callable[[str], None]) -> None:
        """`end` ends a job as Canceled."""
        self._runs, self._faults, self._end = runs, faults, end
        self._waiting: list[threading.Timer] = []

    def ask(self, name: str) -> None:
        """Cancel a job; to ask again changes nothing."""
        if self._runs.status(name) == CANCELING:
            return
        seconds = self._faults.cancel_delay(name)
        if not seconds:
            self._end(name)
            return
        self._runs.move(name, CANCELING)
        timer = threading.Timer(seconds, self._end, [name])
        timer.daemon = True
        timer.start()
        self._waiting.append(timer)

    def stop(self) -> None:
        """Leave to the next start what is not fulfilled."""
        for timer in self._waiting:
            timer.cancel()
