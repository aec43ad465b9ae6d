"""A limit of requests under way: one more is told to come again, as queueing would only make all of them late."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.errors import TooBusy

T = TypeVar("T")


class Gate:
    """Runs blocking work in threads of its own. Only the event loop may call it."""

    def __init__(self, limit: int) -> None:
        """`limit` requests at once, each with a thread."""
        self._limit, self._under_way = limit, 0
        self._threads = ThreadPoolExecutor(limit, "predict")

    async def run(self, work: Callable[[], T]) -> T:
        """The work's result, or what it raises.

        Raises:
            TooBusy: as many are under way as may be.
        """
        if self._under_way >= self._limit:
            raise TooBusy(f"{self._limit} predictions are under way, as many as one process makes", retry_after=1)
        context = contextvars.copy_context()
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, work)
        finally:
            self._under_way -= 1
