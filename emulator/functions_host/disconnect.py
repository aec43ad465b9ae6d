"""Cancels a function whose client has gone away.

A courtesy of this host: Azure's tells a worker of it by InvocationCancel, which Microsoft's Python worker does not take
(https://github.com/Azure/azure-functions-python-worker/issues/1097), so there a function goes on to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")
Watcher = asyncio.Task[None]
UNWATCHED_SECONDS = 0.1
"""Before a client is watched: quick work is over by then, and requests that come together do not wait for watchers."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; `receive` is of a request whose body was read.

    Raises:
        ClientDisconnect: the client went away, and the work was cancelled.
    """
    loop, task, gone, watchers = asyncio.get_running_loop(), asyncio.current_task(), list[bool](), list[Watcher]()
    start = loop.call_later(UNWATCHED_SECONDS, lambda: watchers.append(loop.create_task(_watch(receive, task, gone))))
    try:
        return await work
    except asyncio.CancelledError:
        if not gone or task is None:
            raise
        task.uncancel()
        raise ClientDisconnect from None
    finally:
        start.cancel()
        for watcher in watchers:
            watcher.cancel()


async def _watch(receive: Receive, task: asyncio.Task[Any] | None, gone: list[bool]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.append(True)
    if task is not None:
        task.cancel()
