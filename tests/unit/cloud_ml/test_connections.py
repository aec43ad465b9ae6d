"""Our HTTP client against servers on loopback that say exactly what a test wants them to."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import pytest
import trustme

from services.cloud import connections, exchange
from services.cloud.connections import Connections, target
from services.cloud.exchange import AnswerBroken, Disconnected, Response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter
Certified: TypeAlias = ssl.SSLContext


async def request(reader: Reader) -> tuple[bytes, bytes]:
    """Head and body of the next request."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
    return head, await reader.readexactly(size)


class Server:
    """Answers the requests of each connection with `said`, in turn the last for all further ones, as they are."""

    def __init__(self, *said: bytes, closes: bool = False) -> None:
        self.said, self.closes = list(said), closes
        self.asked: list[tuple[int, bytes, bytes]] = []
        """Which connection, head and body."""
        self.connected = self.open = self.most = 0

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        self.connected += 1
        number, self.open = self.connected, self.open + 1
        self.most = max(self.most, self.open)
        try:
            while True:
                self.asked.append((number, *await request(reader)))
                await asyncio.sleep(0.01)
                writer.write(self.said.pop(0) if len(self.said) > 1 else self.said[0])
                await writer.drain()
                if self.closes:
                    return await closed(writer)
        finally:
            self.open -= 1


async def closed(writer: Writer) -> None:
    """All that was written has gone before the end."""
    writer.close()
    await writer.wait_closed()


Ask = Callable[..., Awaitable[Response]]


def played(
    server: Callable[[Reader, Writer], Awaitable[None]],
    scene: Callable[[Ask], Awaitable[None]],
    limit: int = 4,
    secured: ssl.SSLContext | None = None,
) -> None:
    """Run a scene with a client of that server."""

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: Reader, writer: Writer) -> None:
        if (task := asyncio.current_task()) is not None:
            serving.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await server(reader, writer)
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def play() -> None:
        listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=secured)
        port, client = listening.sockets[0].getsockname()[1], Connections(limit)
        address = f"https://localhost:{port}/score?a=b" if secured else f"http://127.0.0.1:{port}/score?a=b"

        async def ask(*pieces: bytes, **headers: str) -> Response:
            return await client.post(address, headers, [*pieces], connect_seconds=60)

        try:
            async with asyncio.timeout(120):
                await scene(ask)
        finally:
            client.close()
            listening.close()
            await asyncio.sleep(0.02)  # the server sees that the client has gone
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    asyncio.run(play())


def answered(said: bytes, closes: bool = False) -> tuple[Response, Server]:
    """What one request to a server that says this gets."""
    server, found = Server(said, closes=closes), list[Response]()

    async def scene(ask: Ask) -> None:
        found.append(await ask(b"x"))

    played(server, scene)
    return found[0], server


@pytest.fixture
def certified(monkeypatch: pytest.MonkeyPatch) -> Certified:
    """What a server of TLS needs whom the client trusts."""
    authority, serving = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr(connections, "tls", lambda: trusting)
    return serving


def test_a_request_is_what_was_given() -> None:
    server = Server(OK)

    async def scene(ask: Ask) -> None:
        assert (await ask(b"ab", b"", b"cd", **{"X-Some": "thing"})).data == b"[]"

    played(server, scene)
    [(_, head, body)] = server.asked
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /score?a=b HTTP/1.1"
    assert lines[1].startswith("Host: 127.0.0.1:")
    assert lines[2:] == ["X-Some: thing", "Content-Length: 4", "", ""]
    assert body == b"abcd"


@pytest.mark.parametrize(
    ("said", "status", "data"),
    [
        (b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\nRetry-After: 3\r\n\r\n", 429, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", 200, b"[]"),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", 200, b"[]"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\nX: y\r\n\r\n", 200, b"[]"),
    ],
)  # fmt: skip
def test_answers_of_every_kind_are_understood(said: bytes, status: int, data: bytes) -> None:
    found, server = answered(said)
    assert (found.status, found.data) == (status, data)
    assert server.connected == 1
    assert "x" not in found.headers  # a trailer


@pytest.mark.parametrize("framed", [b"Content-Length: 1001\r\n", b""])
def test_an_answer_that_has_no_end_is_given_up(framed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MOST_BODY", 1000)
    with pytest.raises(AnswerBroken, match="too long"):
        answered(b"HTTP/1.1 200 OK\r\n" + framed + b"\r\n" + b"x" * 1001, closes=True)
    assert len(answered(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000, closes=True)[0].data) == 1000


@pytest.mark.parametrize("status", [0, 99])
def test_a_status_that_is_none_is_no_word_that_another_answer_comes(status: int) -> None:
    found, _ = answered(f"HTTP/1.1 {status:03} Odd\r\nContent-Length: 2\r\n\r\n[]".encode(), closes=True)
    assert (found.status, found.data) == (status, b"[]")


def test_headers_are_found_in_lower_case() -> None:
    found, _ = answered(b"HTTP/1.1 200 OK\r\nRetry-AFTER: 3\r\nX-Name: caf\xe9\r\nContent-Length: 0\r\n\r\n")
    assert found.headers == {"retry-after": "3", "x-name": "caf\xe9", "content-length": "0"}


def test_headers_of_one_name_are_a_list() -> None:
    found, _ = answered(b"HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 0\r\na: 2\r\n\r\n")
    assert found.headers["a"] == "1, 2"


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\n\r\n[1, 2]", b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n[1, 2]"])
def test_an_answer_without_a_length_ends_with_its_connection(said: bytes) -> None:
    assert answered(said, closes=True)[0].data == b"[1, 2]"


def test_an_answer_that_comes_byte_by_byte_is_whole() -> None:
    async def slowly(reader: Reader, writer: Writer) -> None:
        await request(reader)
        for n in range(len(OK)):
            writer.write(OK[n : n + 1])
            await writer.drain()
            await asyncio.sleep(0)

    async def scene(ask: Ask) -> None:
        assert (await ask(b"x")).data == b"[]"

    played(slowly, scene)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", Disconnected),
        (b"\r\n", Disconnected),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Disconnected),
        (b"H", AnswerBroken),
        (b"HTTP/1.1 200", AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nContent-", AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]", AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[]", AnswerBroken),
        (b"SSH-2.0-OpenSSH_9.2\r\n", AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n[]", AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]", AnswerBroken),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nrest", AnswerBroken),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * exchange.MOST_HEAD, AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"y" * exchange.MOST_HEAD, AnswerBroken),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 3000, AnswerBroken),
    ],
)
def test_what_is_no_answer_is_an_error(said: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        answered(said, closes=True)


@pytest.mark.parametrize(
    ("said", "connected"),
    [
        (OK, 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]", 2),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]", 2),
        (OK + OK, 2),
        (OK + b"nonsense", 2),
        (OK + b"\r\n", 1),
    ],
)
def test_a_connection_is_used_again_where_the_answer_leaves_it_fit(said: bytes, connected: int) -> None:
    server = Server(said, OK)

    async def scene(ask: Ask) -> None:
        assert (await ask(b"1")).data == b"[]"
        assert (await ask(b"2")).data == b"[]"

    played(server, scene)
    assert server.connected == connected
    assert [body for _, _, body in server.asked] == [b"1", b"2"]


def test_an_answer_that_nobody_asked_for_is_nobodys() -> None:
    came = asyncio.Event()

    async def eager(reader: Reader, writer: Writer) -> None:
        await request(reader)
        writer.write(OK)
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        with suppress(ConnectionError):
            assert await reader.read() == b""  # it was cut
        came.set()

    async def scene(ask: Ask) -> None:
        assert (await ask(b"1")).data == b"[]"
        await came.wait()
        came.clear()
        assert (await ask(b"2")).data == b"[]"

    played(eager, scene)


def test_a_connection_that_the_other_side_closed_meanwhile_is_not_used() -> None:
    gone = asyncio.Event()

    async def impatient(reader: Reader, writer: Writer) -> None:
        await request(reader)
        writer.write(OK)
        await closed(writer)
        gone.set()

    async def scene(ask: Ask) -> None:
        for _ in range(3):
            assert (await ask(b"1")).data == b"[]"
            await gone.wait()
            gone.clear()
            await asyncio.sleep(0.02)  # its end is on the way

    played(impatient, scene)


def test_an_answer_before_all_was_sent_is_taken_and_the_connection_is_not() -> None:
    seen: list[int] = []

    async def refuses(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        seen.append(1)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(30)

    async def scene(ask: Ask) -> None:
        for _ in range(2):
            assert (await ask(b"{", b"x" * 30_000_000, b"}")).status == 413

    played(refuses, scene)
    assert len(seen) == 2


@pytest.mark.parametrize("way", ["http", "https"])
def test_what_came_unseen_is_not_the_next_answer(way: str, certified: Certified) -> None:
    """It lies with the operating system where the event loop has not had the time to look."""
    writers: list[Writer] = []

    async def eager(reader: Reader, writer: Writer) -> None:
        writers.append(writer)
        while True:
            await request(reader)
            writer.write(OK)

    async def scene(ask: Ask) -> None:
        assert (await ask(b"1")).data == b"[]"
        writers[0].write(b"HTTP/1.1 408 Late\r\nContent-Length: 5\r\n\r\nwrong")
        assert (await ask(b"2")).data == b"[]"
        writers[1].get_extra_info("socket").shutdown(socket.SHUT_WR)
        assert (await ask(b"3")).data == b"[]"

    played(eager, scene, secured=certified if way == "https" else None)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("pause", [0.0, 0.02])
@pytest.mark.parametrize("framed", [b"", b"Content-Length: 6\r\n"])
@pytest.mark.parametrize("properly", [True, False])
def test_over_tls_an_answer_without_a_length_is_whole_where_its_end_is_said(
    version: ssl.TLSVersion, pause: float, framed: bytes, properly: bool, certified: Certified
) -> None:
    """Anybody on the way can end a connection: only `close_notify` says that the other side did (RFC 9112, 9.8)."""
    certified.maximum_version = certified.minimum_version = version

    async def ends(reader: Reader, writer: Writer) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n" + framed + b"\r\n[1, 2]")
        await writer.drain()
        await asyncio.sleep(pause)
        if properly:
            await closed(writer)
        else:
            writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
            await reader.read()

    async def scene(ask: Ask) -> None:
        if properly or framed:
            assert (await ask(b"x")).data == b"[1, 2]"
        else:
            with pytest.raises(AnswerBroken, match="within an answer"):
                await ask(b"x")

    played(ends, scene, secured=certified)


def test_who_is_sent_to_and_sends_no_more_is_not_waited_for() -> None:
    ended = asyncio.Event()

    async def half(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write_eof()
        await ended.wait()

    async def scene(ask: Ask) -> None:
        with pytest.raises(Disconnected):
            await asyncio.wait_for(ask(b"x" * 30_000_000), 20)
        ended.set()

    played(half, scene)


def test_who_closes_while_it_is_answered_leaves_no_connection() -> None:
    came, may, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(reader: Reader, writer: Writer) -> None:
        await request(reader)
        came.set()
        await may.wait()
        writer.write(OK)
        assert await reader.read() == b""
        await closed(writer)
        gone.set()

    async def scene() -> None:
        client, server = Connections(1), await asyncio.start_server(slow, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        asked = asyncio.ensure_future(client.post(address, {}, [b"x"], connect_seconds=60))
        await came.wait()
        client.close()
        may.set()
        assert (await asked).data == b"[]"
        await asyncio.wait_for(gone.wait(), 60)
        server.close()

    asyncio.run(scene())


def test_of_several_addresses_one_that_is_dead_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = asyncio.Event()

    async def serve(reader: Reader, writer: Writer) -> None:
        await request(reader)
        writer.write(OK)
        await reader.read()
        await closed(writer)
        gone.set()

    async def scene() -> None:
        server, client = await asyncio.start_server(serve, "127.0.0.1", 0), Connections(1)
        loop, port = asyncio.get_running_loop(), server.sockets[0].getsockname()[1]
        connect = loop.sock_connect

        async def several(*_: object, **__: object) -> list[object]:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, ("192.0.2.1", port)), (*kind, ("127.0.0.1", port))]

        async def reach(sock: socket.socket, address: tuple[str, int]) -> None:
            await (asyncio.sleep(3600) if address[0] == "192.0.2.1" else connect(sock, address))

        monkeypatch.setattr(loop, "getaddrinfo", several)
        monkeypatch.setattr(loop, "sock_connect", reach)
        address = f"http://slot.example:{port}/"
        assert (await asyncio.wait_for(client.post(address, {}, [b"x"], connect_seconds=60), 30)).data == b"[]"
        client.close()
        await asyncio.wait_for(gone.wait(), 60)
        server.close()

    asyncio.run(scene())


@pytest.mark.parametrize("way", ["http", "https"])
def test_a_large_body_arrives_whole_in_both_directions(way: str, certified: Certified) -> None:
    body = random.Random(4).randbytes(5_000_001)

    async def echo(reader: Reader, writer: Writer) -> None:
        while True:
            _, came = await request(reader)
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(came)}\r\n\r\n".encode() + came)
            await writer.drain()

    async def scene(ask: Ask) -> None:
        for _ in range(2):
            assert (await ask(body[:7], body[7:1_000_000], body[1_000_000:])).data == body

    played(echo, scene, secured=certified if way == "https" else None)


def test_no_more_requests_than_allowed_are_under_way() -> None:
    server = Server(OK)

    async def scene(ask: Ask) -> None:
        found = await asyncio.gather(*(ask(str(n).encode()) for n in range(9)))
        assert [one.data for one in found] == [b"[]"] * 9

    played(server, scene, limit=3)
    assert server.most == server.connected == 3
    assert sorted(body for _, _, body in server.asked) == [str(n).encode() for n in range(9)]


def test_who_is_cancelled_makes_room_and_leaves_no_connection() -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def silent(reader: Reader, writer: Writer) -> None:
        if (await request(reader))[1] == b"silence":
            came.set()
            assert await reader.read() == b""
            gone.set()
        else:
            writer.write(OK)
            await closed(writer)

    async def scene(ask: Ask) -> None:
        for _ in range(3):
            asked = asyncio.ensure_future(ask(b"silence"))
            await came.wait()
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            await gone.wait()
            came.clear()
            gone.clear()
        assert (await ask(b"say")).data == b"[]"

    played(silent, scene, limit=1)


def test_kept_connections_are_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEPT_SECONDS", 0.5)
    server = Server(OK)

    async def scene(ask: Ask) -> None:
        await asyncio.gather(ask(b"1"), ask(b"2"))
        assert server.open == 2
        while server.open:  # noqa: ASYNC110  # it tells in no other way
            await asyncio.sleep(0.01)
        await ask(b"3")

    played(server, scene)
    assert server.connected == 3


def test_who_cannot_be_connected_in_time_was_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async def never(*_: object, **__: object) -> None:
            await asyncio.sleep(3600)

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
        with pytest.raises(Disconnected, match=r"within 0\.05 s"):
            await Connections(1).post("http://127.0.0.1:1/", {}, [b""], connect_seconds=0.05)

    asyncio.run(scene())


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "\u20ac"])
def test_a_header_of_several_lines_is_not_sent(value: str) -> None:
    server = Server(OK)

    async def scene(ask: Ask) -> None:
        with pytest.raises(ValueError, match=r"several lines|latin-1"):
            await ask(b"x", **{"X-Some": value})

    played(server, scene)
    assert server.connected == 0


@pytest.mark.parametrize(
    ("address", "host", "port", "secure", "start"),
    [
        ("http://a.b/score", "a.b", 80, False, "POST /score HTTP/1.1\r\nHost: a.b\r\n"),
        ("https://a.b/score?x=%20y", "a.b", 443, True, "POST /score?x=%20y HTTP/1.1\r\nHost: a.b\r\n"),
        ("https://A.b:8443", "a.b", 8443, True, "POST / HTTP/1.1\r\nHost: A.b:8443\r\n"),
        ("http://[::1]:80/a", "::1", 80, False, "POST /a HTTP/1.1\r\nHost: [::1]:80\r\n"),
        ("http://user:secret@a.b/", "a.b", 80, False, "POST / HTTP/1.1\r\nHost: a.b\r\n"),
        ("http://a.b/#http://c", "a.b", 80, False, "POST / HTTP/1.1\r\nHost: a.b\r\n"),
    ],
)
def test_an_address_is_read(address: str, host: str, port: int, secure: bool, start: str) -> None:
    found = target(address)
    assert (found.host, found.port, found.secure, found.start.decode()) == (host, port, secure, start)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a.b/score",
        "ftp://a.b/",
        "http:///x",
        "http://a:b/",
        "http://a/\u20ac",
        "http://a/b c",
        "http://a/\x0b",
        "http://a/\r\nb: c",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        target(address)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("said", [OK, b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]", b"nonsense"])
def test_nothing_holds_a_connection_that_is_closed(said: bytes) -> None:
    async def scene(ask: Ask) -> None:
        with suppress(ConnectionError):
            await ask(b"x")

    played(Server(said, closes=True), scene)
    assert [one for one in gc.get_objects() if type(one) is exchange.Connection] == []


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("way", ["http", "https"])
def test_who_is_cancelled_at_whatever_moment_leaves_nothing(way: str, certified: Certified) -> None:
    server = Server(OK)

    def left_of(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
        return {one for one in asyncio.all_tasks() - before if "serve" not in repr(one)}

    async def scene(ask: Ask) -> None:
        before = asyncio.all_tasks()
        for turns in range(40):
            asked = asyncio.ensure_future(ask(b"x" * 700_000))
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            asked.cancel()
            with suppress(asyncio.CancelledError):
                await asked
        assert [(await ask(b"x")).data for _ in range(2)] == [b"[]"] * 2  # there is room
        ends = time.monotonic() + 60
        while server.open > 1 and time.monotonic() < ends:  # noqa: ASYNC110  # it tells in no other way
            await asyncio.sleep(0.01)
        assert server.open == 1
        while (left := left_of(before)) and time.monotonic() < ends:  # noqa: ASYNC110  # it tells in no other way
            await asyncio.sleep(0.01)
        assert left == set()

    played(server, scene, limit=1, secured=certified if way == "https" else None)
    assert [one for one in gc.get_objects() if type(one) is exchange.Connection] == []
