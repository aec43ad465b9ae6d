"""A caller that goes away: the slot sees its connection closed, through server, host, function and client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from services import wiring
from services.cloud import endpoint_token
from services.cloud.async_scoring import AsyncEndpointScorer
from services.cloud.fakes import fake_settings
from services.inference.champion import Champions
from services.inference.predict import Predictor
from tests.support.in_process import KEY, Host, faked_host
from tests.support.predictions import jpeg, loop_state


class Slot:
    """Takes requests and never answers; knows who came and who went."""

    def __init__(self) -> None:
        self.came, self.went = asyncio.Event(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.came.set()
        await reader.read()  # ends where the other side closes
        self.went.set()
        writer.close()


@asynccontextmanager
async def listening(host: Host) -> AsyncIterator[int]:
    server = uvicorn.Server(uvicorn.Config(host.application, port=0, log_level="warning", lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  # it tells in no other way
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def go_away_midway(port: int, slot: Slot) -> None:
    image = jpeg(40, 30)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /api/loops/cards/predict HTTP/1.1\r\nhost: x\r\nx-functions-key: {KEY}\r\ncontent-length: {len(image)}"
    )
    writer.write(head.encode() + b"\r\n\r\n" + image)
    await asyncio.wait_for(slot.came.wait(), 60)
    assert not slot.went.is_set()
    writer.close()
    await asyncio.wait_for(slot.went.wait(), 60)


def test_the_slot_sees_that_the_caller_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_token, "token", lambda _: "t")

    async def scene(host: Host) -> None:
        slot, scorer = Slot(), AsyncEndpointScorer(4)
        server = await asyncio.start_server(slot.serve, "127.0.0.1", 0)
        uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/score"
        known = loop_state(scoring_uri=uri).model_dump_json().encode()
        predictor = Predictor(Champions(lambda name, etag: (200, "1", known)), scorer, fake_settings())
        monkeypatch.setattr(wiring, "predictor", lambda: predictor)
        async with listening(host) as port:
            for _ in range(5):  # the host of a test has room for two: whoever went away has made room
                slot.came, slot.went = asyncio.Event(), asyncio.Event()
                await go_away_midway(port, slot)
        scorer.close()
        server.close()

    with faked_host(tmp_path) as (host, _):
        asyncio.run(scene(host))
