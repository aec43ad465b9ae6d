from __future__ import annotations

import asyncio

import pytest

from services.errors import NotFound, TooBusy
from services.inference.gate import Gate


def test_one_more_than_the_limit_is_told_to_come_again_at_once() -> None:
    async def scene() -> None:
        gate, go = Gate(2), asyncio.Event()

        async def stay() -> None:
            with gate:
                await go.wait()

        running = [asyncio.create_task(stay()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(TooBusy) as caught, gate:
            pass
        assert (caught.value.status, caught.value.extra) == (429, {"retry_after": 1})
        go.set()
        await asyncio.gather(*running)
        for _ in range(3):
            with gate:
                pass

    asyncio.run(scene())


def test_a_place_is_free_again_after_an_error_and_after_a_caller_that_went_away() -> None:
    async def scene() -> None:
        gate = Gate(1)

        async def fail() -> None:
            with gate:
                raise NotFound("x")

        async def stay() -> None:
            with gate:
                await asyncio.sleep(60)

        for _ in range(3):
            with pytest.raises(NotFound):
                await fail()
            gone = asyncio.create_task(stay())
            await asyncio.sleep(0)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
        with gate:
            pass

    asyncio.run(scene())
