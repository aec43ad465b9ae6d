"""Sends copies of requests to a challenger, beside the answers that users get: nobody waits for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from services.errors import VisionloopError

THREADS, MOST_WAITING = 2, 8
log = logging.getLogger(__name__)


class Mirror:
    """A few threads; a copy that would have to wait long is left out."""

    def __init__(self, threads: int = THREADS, most: int = MOST_WAITING) -> None:
        """No thread is started before the first copy."""
        self._threads, self._room = threads, threading.BoundedSemaphore(most)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def send(self, act: Callable[[], object]) -> bool:
        """Have a copy sent; returns whether there was room for it."""
        if not self._room.acquire(blocking=False):
            return False
        with self._lock:
            self._pool = self._pool or ThreadPoolExecutor(self._threads, thread_name_prefix="mirror")
        self._pool.submit(self._run, act)
        return True

    def _run(self, act: Callable[[], object]) -> None:
        try:
            act()
        except VisionloopError as error:
            log.info("A copied request failed: %s", error.detail)
        finally:
            self._room.release()
