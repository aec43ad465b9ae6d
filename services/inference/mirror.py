"""Sends copies of requests to a challenger, beside the answers that users get: nobody waits for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from services.errors import VisionloopError

MOST = 8
log = logging.getLogger(__name__)


class Mirror:
    """A few copies at once; one more is left out."""

    def __init__(self, most: int = MOST) -> None:
        """So many may be under way."""
        self._most = most
        self._under_way: set[asyncio.Task[None]] = set()

    def send(self, act: Callable[[], Awaitable[object]]) -> bool:
        """Have a copy sent; returns whether there was room for it."""
        if len(self._under_way) >= self._most:
            return False
        task = asyncio.get_running_loop().create_task(self._run(act))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return True

    async def _run(self, act: Callable[[], Awaitable[object]]) -> None:
        try:
            await act()
        except VisionloopError as error:
            log.info("A copied request failed: %s", error.detail)
