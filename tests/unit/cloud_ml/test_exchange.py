"""Properties of one connection, whatever comes and however it is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cloud.exchange import MOST_AT_ONCE, AnswerBroken, Connection, Disconnected

Outcome: TypeAlias = tuple[int, bytes] | str
PLAIN = b"HTTP/1.1 201 Made\r\nContent-Length: 4\r\n\r\nnext"


class Wire(asyncio.Transport):
    """Takes what is written, and ends where it is cut."""

    def __init__(self, protocol: Connection) -> None:
        super().__init__()
        self.protocol, self.gone = protocol, False
        self.sent = list[bytes]()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def writelines(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        given = [*pieces]
        assert all(given), "asyncio of Python 3.12 and 3.13 never ends with an empty last one"
        self.write(b"".join(given))

    def is_closing(self) -> bool:
        return self.gone

    def abort(self) -> None:
        if not self.gone:
            self.gone = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    close = abort


async def turns() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


def connected() -> tuple[Connection, Wire]:
    connection = Connection()
    wire = Wire(connection)
    connection.connection_made(wire)
    return connection, wire


async def outcome(connection: Connection, wire: Wire, pieces: Sequence[bytes], *, ends: str) -> Outcome:
    """What a request gets where its answer comes in pieces, and the end, politely or not, if that is not all."""
    asked = asyncio.ensure_future(connection.ask(b"POST / HTTP/1.1\r\n\r\n", [b"x"]))
    await turns()
    for piece in pieces:
        if not wire.gone:
            connection.data_received(piece)
            await asyncio.sleep(0)
    await turns()
    if ends and not asked.done():
        if ends == "politely":
            connection.eof_received()
        wire.abort()
    await turns()
    assert asked.done(), "it waits for ever"
    try:
        found = asked.result()
    except (AnswerBroken, Disconnected) as error:
        return type(error).__name__
    return found.status, found.data


def cut(said: bytes, places: Sequence[int]) -> list[bytes]:
    at = [0, *sorted({place % len(said) for place in places} - {0}), len(said)]
    return [said[start:end] for start, end in pairwise(at)]


@pytest.mark.parametrize(
    "sizes", [(), (1,), (3, 0), (3, 0, MOST_AT_ONCE - 3), (3, MOST_AT_ONCE - 2), (7, 3 * MOST_AT_ONCE, 2)]
)
def test_a_request_goes_out_at_once_but_for_a_large_one(sizes: Sequence[int]) -> None:
    """Each piece that is sent by itself wakes the other side, and large ones keep everybody else waiting."""
    head, pieces = b"POST / HTTP/1.1\r\n\r\n", [bytes([n]) * size for n, size in enumerate(sizes)]
    given = [*pieces]

    async def play() -> list[bytes]:
        connection, wire = connected()
        asked = asyncio.ensure_future(connection.ask(head, pieces))
        await turns()
        assert not pieces, "they are in memory for as long as the slot works"
        connection.data_received(PLAIN)
        assert (await asked).data == b"next"
        assert connection.usable
        return wire.sent

    sent = asyncio.run(play())
    assert b"".join(sent) == head + b"".join(given)
    assert (len(sent) == 1) == (sum(sizes) <= MOST_AT_ONCE)
    assert max(map(len, sent)) <= MOST_AT_ONCE + len(head)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Whose exceptions nobody caught are failures."""
    made, uncaught = asyncio.new_event_loop(), list[object]()
    made.set_exception_handler(lambda _, context: uncaught.append(context))
    yield made
    made.close()
    assert uncaught == []


def lines(*head: bytes) -> bytes:
    return b"\r\n".join([*head, b"", b""])


_TRAILERS = st.sampled_from([b"", b"X-Sum: 1\r\n", b"X-Sum: 1\r\nserver-timing:a\r\n"])
_INTERIM = st.sampled_from([b"", lines(b"HTTP/1.1 100 Continue"), lines(b"HTTP/1.1 103 Early", b"Link: </a>") * 2])
_CLOSING = st.sampled_from(
    [b"Connection: close", b"connection:CLOSE", b"Connection: x , Close", b"Connection: close, x"]
)
_KEEPING = st.sampled_from([b"Server: x", b"Connection: keep-alive", b"Connection: closed", b"Keep-Alive: timeout=5"])


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> bytes:
    """The framing whose every part may look different."""
    pieces = [piece for piece in cut(data, draw(st.lists(st.integers(0, 99), max_size=4))) if piece] if data else []
    size = draw(st.sampled_from([b"%x", b"%X", b"000%x", b"%x;a=b", b'%x;name="a b"']))
    said = b"".join(size % len(piece) + b"\r\n" + piece + b"\r\n" for piece in pieces)
    return said + draw(st.sampled_from([b"0", b"000", b"0;last"])) + b"\r\n" + draw(_TRAILERS) + b"\r\n"


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, Outcome, bool]:
    """The bytes of a valid answer, what it says, and whether another request may follow."""
    data, closing = draw(st.binary(max_size=60)), draw(st.booleans())
    status, told = draw(st.sampled_from([200, 206, 404, 500, 599])), draw(_CLOSING if closing else _KEEPING)
    start = b"HTTP/1.1 %d %s" % (status, draw(st.sampled_from([b"OK", b"", b"It is so"])))
    framing = draw(st.sampled_from(["length", "chunks", "nothing"]))
    if framing == "nothing":
        status = draw(st.sampled_from([204, 304]))
        said = lines(b"HTTP/1.1 %d No" % status, told)
        return draw(_INTERIM) + said, (status, b""), not closing
    if framing == "length":
        body, framed = data, b"Content-Length:%s%d" % (draw(st.sampled_from([b"", b" ", b"\t"])), len(data))
    else:
        body, framed = (
            draw(chunked(data)),
            draw(st.sampled_from([b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked"])),
        )
    head = lines(start, *draw(st.permutations([told, framed])))
    return draw(_INTERIM) + head + body, (status, data), not closing


@given(st.lists(answers(), min_size=1, max_size=4), st.lists(st.integers(0, 400), max_size=8))
def test_a_valid_answer_is_the_same_wherever_it_is_cut(
    loop: asyncio.AbstractEventLoop, said: list[tuple[bytes, Outcome, bool]], places: list[int]
) -> None:
    async def scene() -> None:
        connection, wire = connected()
        for answer, expected, keeps in said:
            if not connection.usable:
                connection, wire = connected()
            assert await outcome(connection, wire, cut(answer, places), ends="") == expected
            assert connection.usable is keeps
        wire.abort()
        await turns()

    loop.run_until_complete(scene())


@given(answers(), st.integers(0, 400), st.sampled_from(["politely", "at once"]))
def test_half_an_answer_is_none(
    loop: asyncio.AbstractEventLoop, said: tuple[bytes, Outcome, bool], length: int, ends: str
) -> None:
    answer = said[0]
    begun = answer[: length % len(answer)]

    async def scene() -> None:
        connection, wire = connected()
        found = await outcome(connection, wire, [begun], ends=ends)
        only_interim = begun.endswith(b"\r\n\r\n") and set(begun.split(b" ")[1::2][:1]) <= {b"100", b"103"}
        assert found == ("Disconnected" if not begun or only_interim else "AnswerBroken")
        assert not connection.usable

    loop.run_until_complete(scene())


_STARTS = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 204 No\r\n",
    b"HTTP/1.1 100 Go\r\n\r\n",
    b"HTTP/1.1 101 S\r\n",
]
_HEADERS = [
    b"Content-Length: 2\r\n", b"Content-Length: 0\r\n", b"Content-Length: 2, 2\r\n", b"Content-Length: -1\r\n",
    b"Content-Length: 18446744073709551616\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: chunked, chunked\r\n", b"Transfer-Encoding:\r\n",
    b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Upgrade: x\r\n", b" folded\r\n", b"X : y\r\n",
]  # fmt: skip
_ODDS = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\0",
    b":",
    b"[]",
    b"2\r\n[]\r\n",
    b"0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF\r\n",
    b"-1\r\n",
    b"GET / HTTP/1.1\r\n",
]
_FULL = st.tuples(
    st.sampled_from(_STARTS), st.lists(st.sampled_from(_HEADERS), max_size=3).map(b"".join), st.just(b"\r\n"),
    st.lists(st.sampled_from(_ODDS), max_size=3).map(b"".join),
).map(b"".join)  # fmt: skip
HOSTILE = st.one_of(
    st.lists(_FULL, min_size=1, max_size=3).map(b"".join),
    st.lists(st.sampled_from(_STARTS + _HEADERS + _ODDS), min_size=1, max_size=9).map(b"".join),
    st.binary(min_size=1, max_size=200),
)


@given(HOSTILE, st.lists(st.integers(0, 400), max_size=6), st.sampled_from(["politely", "at once"]))
def test_whatever_comes_ends_the_request_and_never_becomes_the_answer_to_the_next(
    loop: asyncio.AbstractEventLoop, said: bytes, places: list[int], ends: str
) -> None:
    async def scene() -> None:
        connection, wire = connected()
        found = await outcome(connection, wire, cut(said, places), ends=ends)
        assert isinstance(found, tuple) or not connection.usable
        if connection.usable:
            assert await outcome(connection, wire, [PLAIN], ends="") == (201, b"next")
        wire.abort()
        await turns()

    loop.run_until_complete(scene())
