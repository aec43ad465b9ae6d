from __future__ import annotations

import asyncio
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from emulator.functions_host.whole import MOST_JOINED, WholeBodies

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TEXT = [(b"content-type", b"text/plain")]


def sized(body: bytes) -> dict[str, object]:
    return {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers as the path says."""
    if scope["path"] == "/echo":
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await send(sized(body))
        await send({"type": "http.response.body", "body": body})
    elif scope["path"] == "/slow":
        await send({"type": "http.response.start", "status": 200, "headers": TEXT})
        for part in (b"HTTP/1.1 a", b"HTTP/1.1 b"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})
    elif scope["path"] == "/broken":
        await send(sized(b"never"))
        raise RuntimeError
    else:
        await send(sized(b"hello"))
        await send({"type": "http.response.body", "body": b"hello"})


def talk(with_it: Talk) -> None:
    async def scene() -> None:
        config = uvicorn.Config(app, http=WholeBodies, port=0, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  # it tells in no other way
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])
        async with asyncio.timeout(60):
            await with_it(reader, writer)
        writer.close()
        server.should_exit = True
        await running

    asyncio.run(scene())


def asked(path: str, method: str = "GET", further: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n{further}\r\n".encode()


async def head(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode().lower()


def test_head_and_body_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = _SelectorSocketTransport.write

    def watched(self: asyncio.Transport, data: bytes) -> None:
        written.append(bytes(data))
        write(self, data)

    monkeypatch.setattr(_SelectorSocketTransport, "write", watched)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(asked("/"))
        assert "200 ok" in await head(reader)
        assert await reader.readexactly(5) == b"hello"

    talk(one)
    [_, answer] = written  # the request is the first
    assert answer.endswith(b"\r\n\r\nhello")


def test_an_answer_without_a_body_comes_whole_and_the_connection_stays() -> None:
    async def three(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            writer.write(asked("/", "HEAD"))
            assert "content-length: 5" in await head(reader)

    talk(three)


def test_requests_that_are_sent_together_are_answered_in_their_order() -> None:
    async def two(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(asked("/", "HEAD") + asked("/") + asked("/", "HEAD"))
        assert "content-length: 5" in await head(reader)
        await head(reader)
        assert await reader.readexactly(5) == b"hello"
        assert "content-length: 5" in await head(reader)

    talk(two)


def test_a_client_that_waits_to_be_told_to_go_on_is_told() -> None:
    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(asked("/echo", "POST", "content-length: 4\r\nexpect: 100-continue\r\n"))
        assert "100 continue" in await head(reader)
        writer.write(b"body")
        await head(reader)
        assert await reader.readexactly(4) == b"body"

    talk(waits)


@pytest.mark.parametrize("size", [0, 1, MOST_JOINED, MOST_JOINED + 1, 3_000_000])
def test_a_body_of_any_size_arrives(size: int) -> None:
    async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(asked("/echo", "POST", f"content-length: {size}\r\n") + b"x" * size)
        assert f"content-length: {size}\r\n" in await head(reader)
        assert await reader.readexactly(size) == b"x" * size

    talk(echoed)


def test_a_body_that_comes_in_many_parts_is_whole() -> None:
    parts = [bytes([65 + n]) * (n * 7001) for n in range(20)]
    size = sum(map(len, parts))

    async def dripped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(asked("/echo", "POST", f"content-length: {size}\r\n"))
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.001)
        await head(reader)
        assert await reader.readexactly(size) == b"".join(parts)

    talk(dripped)


def test_a_body_in_parts_that_look_like_heads_arrives() -> None:
    async def streamed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(asked("/slow"))
        assert "chunked" in await head(reader)
        assert await reader.readexactly(35) == b"a\r\nHTTP/1.1 a\r\na\r\nHTTP/1.1 b\r\n0\r\n\r\n"

    talk(streamed)


def test_an_answer_that_breaks_off_shows_its_head_and_ends() -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(asked("/broken"))
        assert "content-length: 5" in await head(reader)
        assert await reader.read() == b""

    talk(broken)
