from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest

from services.errors import NotFound, TooBusy
from services.inference.gate import Gate

NAME = contextvars.ContextVar("NAME", default="")


def test_one_more_than_the_limit_is_told_to_come_again_at_once() -> None:
    async def scene() -> None:
        gate, go = Gate(2), threading.Event()
        running = [asyncio.create_task(gate.run(lambda: go.wait(5))) for _ in range(2)]
        await asyncio.sleep(0.01)
        began = time.perf_counter()
        with pytest.raises(TooBusy) as caught:
            await gate.run(lambda: None)
        assert time.perf_counter() - began < 0.1
        assert (caught.value.status, caught.value.extra) == (429, {"retry_after": 1})
        go.set()
        await asyncio.gather(*running)
        assert await gate.run(lambda: "again") == "again"

    asyncio.run(scene())


def test_a_place_is_free_again_after_an_error() -> None:
    async def scene() -> None:
        gate = Gate(1)
        for _ in range(3):
            with pytest.raises(NotFound):
                await gate.run(lambda: (_ for _ in ()).throw(NotFound("x")))
        assert await gate.run(lambda: 1) == 1

    asyncio.run(scene())


def test_work_sees_the_callers_context() -> None:
    async def scene() -> str:
        NAME.set("invocation-1")
        return await Gate(1).run(NAME.get)

    assert asyncio.run(scene()) == "invocation-1"
