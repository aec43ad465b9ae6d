from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from services.cloud import async_scoring, endpoint_token, pieces
from services.cloud.async_scoring import AsyncEndpointScorer
from services.cloud.at_once import begun
from services.cloud.scoring_contract import request_pieces
from tests.support.small_server import Handler, serving


class TestBegun:
    """A coroutine that runs before anybody waits for it."""

    def test_what_need_not_wait_is_done_before_it_is_awaited(self) -> None:
        seen: list[str] = []

        async def work() -> None:
            seen.append("done")

        rest = begun(work())
        assert seen == ["done"]
        asyncio.run(rest)

    def test_what_waits_goes_on_where_it_was(self) -> None:
        async def scene() -> list[object]:
            seen: list[object] = []
            first, second = (asyncio.get_running_loop().create_future() for _ in range(2))

            async def work() -> None:
                seen.append(await first)
                seen.append(await second)

            task = asyncio.create_task(begun(work()))
            for number, waited in enumerate((first, second)):
                await asyncio.sleep(0)
                waited.set_result(number)
            await task
            return seen

        assert asyncio.run(scene()) == [0, 1]

    @pytest.mark.parametrize("swallows", [False, True])
    def test_a_cancelled_one_is_told_where_it_waits(self, swallows: bool) -> None:
        async def scene() -> list[str]:
            seen: list[str] = []

            async def work() -> None:
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    seen.append("cancelled")
                    if not swallows:
                        raise

            task = asyncio.create_task(begun(work()))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            return [*seen, *(["it ended so"] if task.cancelled() else [])]

        assert asyncio.run(scene()) == ["cancelled", *([] if swallows else ["it ended so"])]

    def test_what_is_wrong_at_once_and_later_is_said(self) -> None:
        async def at_once() -> None:
            raise KeyError("now")

        async def later() -> None:
            await asyncio.sleep(0)
            raise KeyError("later")

        async def scene(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
            await begun(work())

        with pytest.raises(KeyError, match="now"):
            asyncio.run(scene(at_once))
        with pytest.raises(KeyError, match="later"):
            asyncio.run(scene(later))


class Slot(Handler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.body()
        self.answer(200, b'[{"boxes": []}]')


def test_each_request_is_sent_before_the_next_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of requests that come together none waits for the others' bodies."""
    monkeypatch.setattr(async_scoring, "known_bearer", lambda uri: (uri, "t"))
    seen: list[str] = []
    prepare, write = request_pieces, pieces.Pieces.write

    def prepared(images: list[bytes]) -> list[bytes]:
        seen.append(f"prepared {images[0].decode()}")
        return prepare(images)

    async def written(self: pieces.Pieces, writer: Any) -> None:
        seen.append("sent")
        await write(self, writer)

    monkeypatch.setattr(async_scoring, "request_pieces", prepared)
    monkeypatch.setattr(pieces.Pieces, "write", written)

    async def scene(uri: str) -> None:
        scorer = AsyncEndpointScorer(4)

        async def together() -> None:
            await asyncio.gather(*(scorer.score(uri, "blue", [name], deadline=30) for name in (b"a", b"b", b"c")))

        try:
            await together()  # which opens three connections
            seen.clear()
            await together()
        finally:
            await scorer.close()

    with serving(Slot) as address:
        asyncio.run(scene(f"{address}/score"))
    assert seen == ["prepared a", "sent", "prepared b", "sent", "prepared c", "sent"]


def test_a_caller_that_goes_away_while_its_image_is_sent_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_token, "token", lambda _: "t")

    async def scene(listening: socket.socket) -> None:
        loop, scorer = asyncio.get_running_loop(), AsyncEndpointScorer(4)
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}/score"
        call = asyncio.create_task(scorer.score(uri, "blue", [b"x" * 30_000_000], deadline=60))
        with (await loop.sock_accept(listening))[0] as connection:
            connection.setblocking(False)
            assert await loop.sock_recv(connection, 100)  # the rest cannot be sent: nobody reads it
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.wait_for(_to_its_end(connection), 60)
        await scorer.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        asyncio.run(scene(listening))


async def _to_its_end(connection: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(connection, 1 << 20):
        continue
