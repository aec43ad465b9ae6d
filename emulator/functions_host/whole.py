"""Bodies in one piece, where uvicorn takes and writes them in several.

It copies a request's body twice, and writes an answer's head and body apart: two calls of the system, and two wakes of
the client.
"""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_JOINED = 1 << 16
"""Bytes of a body: a larger one is not copied."""


class WholeBodies(HttpToolsProtocol):
    """uvicorn's own protocol; its transport waits with a head until the body comes, or the answer ends without."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A client came."""
        super().connection_made(transport)
        self._joined = Joined(transport)
        self.transport = cast("asyncio.Transport", self._joined)

    def on_body(self, body: bytes) -> None:
        """Some of a request's body: the first part is not copied, and most have no second."""
        known = self.cycle.body
        if known and isinstance(known, bytes):
            self.cycle.body = bytearray(known)
        super().on_body(body if known else b"")
        if not known:
            self.cycle.body = body  # type: ignore[assignment]  # uvicorn makes bytes of it, which these are

    def on_response_complete(self) -> None:
        """All was written."""
        self._joined.flush()
        super().on_response_complete()


class Joined:
    """What uvicorn uses of a transport."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Nothing waits."""
        self._transport, self._head = transport, b""
        self.is_closing, self.set_protocol = transport.is_closing, transport.set_protocol

    def write(self, data: bytes) -> None:
        """Write, but for the head of an answer; `100 Continue` is none, as the client waits for it."""
        if self._head and len(data) <= MOST_JOINED:
            data, self._head = self._head + data, b""
        elif not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100 "):
            self._head = data
            return
        self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        """Write what waits."""
        head, self._head = self._head, b""
        if head:
            self._transport.write(head)

    def close(self) -> None:
        """Close once all is written."""
        self.flush()
        self._transport.close()
