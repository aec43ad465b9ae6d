"""Somebody who stands in for another that fails, or that keeps its user waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def covered(
    first: Coroutine[Any, Any, T],
    second: Callable[[], Coroutine[Any, Any, T]],
    head_start: float,
    failed: Callable[[BaseException], bool],
    overtaken: Callable[[], object],
) -> T:
    """What the first one gives, or the second, who begins once that failed or had `head_start` seconds.

    Who answers first, answers, and the other is cancelled; `overtaken` is told where that is the first one. What is
    raised and is nobody's failure is an answer too. Where both fail, the second one's failure is raised.
    """
    one, other = asyncio.create_task(first), None

    def tells(task: asyncio.Task[T]) -> bool:
        return task.done() and ((error := task.exception()) is None or not failed(error))

    try:
        await asyncio.wait([one], timeout=max(0.0, head_start))
        if tells(one):
            return one.result()
        other = asyncio.create_task(second())
        while not (tells(one) or tells(other) or (one.done() and other.done())):
            await asyncio.wait([task for task in (one, other) if not task.done()], return_when=asyncio.FIRST_COMPLETED)
        if not one.done() and other.exception() is None:
            overtaken()
        return one.result() if tells(one) else other.result()
    finally:
        _let_go(one)
        _let_go(other)
        del one, other, tells  # what is raised holds this frame, and they hold what is raised


def _let_go(task: asyncio.Task[T] | None) -> None:
    """Whatever comes of it: an error that nobody is told of is no mishap."""
    if task is not None:
        task.cancel()
        task.add_done_callback(_looked_at)


def _looked_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
