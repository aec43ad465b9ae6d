"""Splits a stretch of wall-clock time into what this process did itself and what it waited for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from unittest.mock import patch


@dataclass
class Stretch:
    """Seconds; `own` and `waiting` are `wall`. `cpu` is this process's, whatever else the machine does."""

    wall: float = 0.0
    cpu: float = 0.0
    waiting: float = 0.0
    requests: int = 0
    wakes: int = 0

    @property
    def own(self) -> float:
        return self.wall - self.waiting


@dataclass
class Clock:
    """Counts as waiting while at least one request of any thread is under way, or the measured thread sleeps."""

    stretch: Stretch = field(default_factory=Stretch)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: int = 0
    _since: float = 0.0

    @contextmanager
    def waits(self, requests: int = 1) -> Iterator[None]:
        """Something is under way that others have to do."""
        with self._lock:
            self._since = self._since if self._open else time.perf_counter()
            self._open += 1
            self.stretch.requests += requests
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1
                if not self._open:
                    self.stretch.waiting += time.perf_counter() - self._since

    @contextmanager
    def measured(self, stretch: Stretch) -> Iterator[None]:
        """Add what happens in the block, one wake, to a stretch."""
        self.stretch, started, worked = stretch, time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            stretch.wall += time.perf_counter() - started
            stretch.cpu += time.process_time() - worked
            stretch.wakes += 1
            self.stretch = Stretch()


@contextmanager
def listening() -> Iterator[Clock]:
    """Every request by urllib3, which is below requests and so below all of Azure's SDKs, and every sleep, is heard.

    What is told of a request is the time until its answer's head, and its body's where the caller has it read at once;
    bodies that are read later are loopback's and count as our own.
    """
    from urllib3.connectionpool import HTTPConnectionPool

    clock = Clock()
    asked, slept = HTTPConnectionPool.urlopen, time.sleep

    @wraps(asked)
    def urlopen(*arguments: Any, **named: Any) -> Any:
        with clock.waits():
            return asked(*arguments, **named)

    def sleep(seconds: float) -> None:
        with clock.waits(requests=0):
            slept(seconds)

    with patch.object(HTTPConnectionPool, "urlopen", urlopen), patch("time.sleep", sleep):
        yield clock


def until(clock: Clock, stretch: Stretch, wake: Callable[[], None], over: Callable[[], bool], pause: float) -> None:
    """Wake again and again; only the wakes are counted, not the pauses between them.

    Raises:
        TimeoutError: it is not over within five minutes.
    """
    ends = time.monotonic() + 300
    while True:
        with clock.measured(stretch):
            wake()
        if over():
            return
        if time.monotonic() > ends:
            raise TimeoutError("The loop did not come that far within five minutes")
        time.sleep(pause)
