"""A cheap HTTP client for measurements: one connection a client, requests one after the other, bytes made once."""

from __future__ import annotations

import asyncio
import time
from typing import cast


class Client(asyncio.Protocol):
    """Sends the same request again and again, and keeps what each took."""

    def __init__(self, request: bytes, until: float, done: asyncio.Future[list[float]]) -> None:
        """`until` on the performance counter."""
        self._request, self._until, self._done = request, until, done
        self._transport: asyncio.Transport | None = None
        self._buffer, self._missing, self._sent = b"", -1, 0.0
        self._took: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        if self._transport is not None:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Wait for the whole answer."""
        if self._missing < 0:
            self._buffer += data
            head, end, body = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self._done.set_exception(RuntimeError(self._buffer[:500].decode(errors="replace")))
                return
            lower = head.lower()
            place = lower.index(b"content-length:") + 15
            self._missing = int(lower[place:].split(b"\r\n", 1)[0]) - len(body)
            self._buffer = b""
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._missing = -1
            self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        self._took.append(1000 * (now - self._sent))
        if now < self._until:
            self._send()
        elif not self._done.done():
            self._done.set_result(self._took)

    def connection_lost(self, error: Exception | None) -> None:
        """An answer is missing."""
        if not self._done.done():
            self._done.set_exception(RuntimeError(f"the connection was closed: {error}"))


def request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """The bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def load(port: int, sent: bytes, clients: int, seconds: float) -> list[float]:
    """Milliseconds of each request of `clients` at once."""
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + seconds
    waits: list[asyncio.Future[list[float]]] = [loop.create_future() for _ in range(clients)]
    made = [await loop.create_connection(lambda w=w: Client(sent, until, w), "127.0.0.1", port) for w in waits]  # type: ignore[misc]
    try:
        return [took for one in await asyncio.gather(*waits) for took in one]
    finally:
        for transport, _ in made:
            transport.close()
