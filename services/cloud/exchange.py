"""One kept HTTP/1.1 connection on the event loop: a request and its answer at a time; imported at the first prediction.

Contract: RFC 9112. What comes is parsed by httptools (https://github.com/MagicStack/httptools), which is Node's parser,
as strict as that is by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ssl import SSLError
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from urllib3.util import wait_for_read

MOST_AT_ONCE = 1 << 19
"""Bytes: a larger body waits in between until the connection has taken some, and other requests have their turn."""
MOST_HEAD = 1 << 16
"""Bytes of an answer before its body begins, behind it, and between two pieces of it."""
MOST_BODY = 1 << 26
"""Bytes: no slot finds as much, and all of an answer is in memory."""
_LENGTH = frozenset({b"content-length", b"transfer-encoding"})
"""Without any of these a body ends where the connection does."""


class Disconnected(ConnectionError):
    """The other side went away, and had not answered."""


class AnswerBroken(ConnectionError):
    """It began to answer, and what came was not whole or not HTTP."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    head: Sequence[tuple[bytes, bytes]]
    data: bytes

    @property
    def headers(self) -> dict[str, str]:
        """By name in lower case; several of a name as one list."""
        found: dict[str, str] = {}
        for name, value in self.head:
            key, said = name.decode("latin-1").lower(), value.decode("latin-1")
            found[key] = f"{found[key]}, {said}" if key in found else said
        return found


class Connection(asyncio.Protocol):
    """Made by `loop.create_connection`; whoever asked for something goes on asking only while `usable`."""

    def __init__(self) -> None:
        """Not connected yet."""
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[None] | None = None
        """While a request is under way; it never holds an error, which would hold whoever waits."""
        self._room: asyncio.Future[None] | None = None
        """While the connection takes no more."""
        self._response: Response | None = None
        self._wrong, self._apart = "", 0
        self._fresh()
        self._kept = True

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._kept and self._answered is None and self._transport is not None

    @property
    def silent(self) -> bool:
        """Whether nothing lies unread: what nobody asked for would be the answer to the next request."""
        return self._transport is not None and not wait_for_read(self._transport.get_extra_info("socket"), 0)

    async def ask(self, head: bytes, body: list[bytes]) -> Response:
        """Send a request whose head is complete, and wait for its answer; to be cancelled here cuts the connection.

        What was sent is taken out of `body`: while a slot works, the next request uses that memory, which is in the
        processor's cache still.

        Raises:
            Disconnected, AnswerBroken: there is no answer.
        """
        if self._transport is None or self._transport.is_closing():
            raise Disconnected("The connection is closed")
        self._answered, self._response = asyncio.get_running_loop().create_future(), None
        self._apart = 0
        try:
            await self._send(self._transport, head, body)
            body.clear()
            await self._answered
            return self._taken()
        except BaseException:
            self.cut()
            raise
        finally:
            self._answered = None

    async def _send(self, transport: asyncio.Transport, head: bytes, body: Sequence[bytes]) -> None:
        self._kept = False  # an answer that comes before all is sent ends the connection
        if sum(map(len, body)) <= MOST_AT_ONCE:
            transport.writelines([head, *filter(None, body)])  # the other side is woken once
        elif not await self._sent_by_and_by(transport, [head, *body]):
            return
        self._kept = True

    async def _sent_by_and_by(self, transport: asyncio.Transport, pieces: Sequence[bytes]) -> bool:
        """Whether all went out before the exchange was over."""
        for piece in (memoryview(each) for each in pieces):
            for start in range(0, len(piece), MOST_AT_ONCE):
                if self._room is not None:
                    await self._room
                if self._is_over:
                    return False
                transport.write(piece[start : start + MOST_AT_ONCE])
        return True

    @property
    def _is_over(self) -> bool:
        return self._answered is None or self._answered.done()

    def _taken(self) -> Response:
        response, self._response = self._response, None
        if response is not None:
            return response
        if self._wrong:
            raise AnswerBroken(self._wrong)
        raise Disconnected("The connection was closed before an answer came")

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        self._kept = False
        if self._transport is not None:
            self._transport.abort()

    # what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Closed, by us or by the other side."""
        if self._begun and not self._wrong:
            self._wrong = "The connection was closed within an answer"
        self._transport = None
        del self._parser  # it holds this connection
        self._end()

    def eof_received(self) -> None:
        """The other side sends no more: the end of an answer that does not say how long it is, and of asking."""
        endless = self._headed and not _LENGTH & {name.lower() for name, _ in self._headers}
        if endless and not self._is_over and self._is_end_said:
            self._complete(self._parser.get_status_code())
        self.cut()

    @property
    def _is_end_said(self) -> bool:
        """Whether the other side ended the connection; within TLS anybody on the way can, but for `close_notify`.

        asyncio tells of both alike, and only what it reads from knows.
        """
        secured = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        try:
            return secured is None or not secured.read(1)
        except SSLError:  # it would wait for more
            return False

    def pause_writing(self) -> None:
        """The connection takes no more."""
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It does again."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; those that nobody asked for end the connection."""
        if self._is_over:
            self.cut()
            return
        self._apart += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(f"The answer is not HTTP: {type(error).__name__}")
        if self._apart > MOST_HEAD and not self._is_over:
            self._fail("The answer's head is too long")

    # what the parser tells

    def on_message_begin(self) -> None:
        """An answer, or a second one that nobody asked for."""
        if self._response is not None:
            self._kept = False
        self._fresh()
        self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those behind a body are not looked at."""
        if not self._headed:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A body may follow."""
        self._headed = True

    def on_body(self, data: bytes) -> None:
        """Some of it."""
        self._body.append(data)
        self._apart = 0
        self._size += len(data)
        if self._size > MOST_BODY:
            self._fail("The answer is too long")

    def on_message_complete(self) -> None:
        """All of an answer; one with a status from 100 only says that another will come."""
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._fresh()
            return
        self._kept = self._kept and self._parser.should_keep_alive()
        self._complete(status)

    def _fresh(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._begun = self._headed = False
        self._size = 0

    def _complete(self, status: int) -> None:
        if self._response is None and not self._wrong:
            self._response = Response(status, self._headers, b"".join(self._body))
            self._fresh()
        self._end()

    def _fail(self, why: str) -> None:
        self._wrong = self._wrong or why
        self._end()
        self.cut()

    def _end(self) -> None:
        """Wake whoever waits, for the answer or for room to send."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
        self.resume_writing()
