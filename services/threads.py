"""Work that blocks, away from the event loop: little of a prediction needs it, and what does shares these threads."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

MOST = 64
"""Started one by one as they are needed: most wait for storage or for an image's address."""
T = TypeVar("T")


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST, "blocking")


async def in_thread(work: Callable[[], T]) -> T:
    """The work's result, or what it raises. Work that nobody waits for any more goes on to its end."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_pool(), context.run, work)
