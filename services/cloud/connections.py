"""Kept HTTP/1.1 connections of one event loop, to a few hosts; imported at the first prediction.

An HTTP client of our own, for this one purpose, as measured in docs/benchmarks.md: a POST of bytes that are there, to
addresses that are ours, no redirects, cookies, proxies or content codings.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import urlsplit

from services.cloud.exchange import Connection, Disconnected, Response

KEPT_SECONDS = 60.0
"""How long a connection is kept for the next request; one that the other side closes is noticed before."""


@cache
def tls() -> ssl.SSLContext:
    """It trusts what OpenSSL trusts (`SSL_CERT_FILE`)."""
    made = ssl.create_default_context()
    made.set_alpn_protocols(["http/1.1"])
    return made


@dataclass(frozen=True, slots=True)
class Target:
    """What an address says: where to connect to, and how a request to it begins."""

    host: str
    port: int
    secure: bool
    start: bytes


@lru_cache(maxsize=64)
def target(address: str) -> Target:
    """Read an address, `http` or `https`.

    Raises:
        ValueError: it is none.
    """
    url = urlsplit(address)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("not an address of HTTP")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    start = f"POST {path} HTTP/1.1\r\nHost: {url.netloc.rpartition('@')[2]}\r\n".encode("ascii")
    secure = url.scheme == "https"
    return Target(url.hostname, url.port or (443 if secure else 80), secure, start)


class Connections:
    """So many requests at once at most; further ones wait."""

    def __init__(self, limit: int) -> None:
        """Nothing is connected yet."""
        self._free = asyncio.Semaphore(limit)
        self._kept: dict[tuple[str, int, bool], list[tuple[float, Connection]]] = {}
        """The one used last is the last."""
        self._sweep: asyncio.TimerHandle | None = None

    async def post(
        self, address: str, headers: Mapping[str, str], body: Sequence[bytes], *, connect_seconds: float
    ) -> Response:
        """Send the pieces of a body, one after the other, as they lie in memory.

        Raises:
            OSError: it could not be connected within `connect_seconds`, or the exchange broke.
            ValueError: the address or a header is none.
        """
        there = target(address)
        head = there.start + _lines({**headers, "Content-Length": str(sum(map(len, body)))})
        async with self._free:
            connection = self._taken(there) or await _opened(there, connect_seconds)
            response = await connection.ask(head, body)
            self._keep(there, connection)
            return response

    def close(self) -> None:
        """Close those that wait for a next request."""
        if self._sweep is not None:
            self._sweep.cancel()
        for kept in self._kept.values():
            for _, connection in kept:
                connection.cut()
        self._kept.clear()

    def _taken(self, there: Target) -> Connection | None:
        kept = self._kept.get((there.host, there.port, there.secure), [])
        while kept:
            connection = kept.pop()[1]
            if connection.usable:
                return connection
        return None

    def _keep(self, there: Target, connection: Connection) -> None:
        if not connection.usable:
            connection.cut()
            return
        loop = asyncio.get_running_loop()
        self._kept.setdefault((there.host, there.port, there.secure), []).append((loop.time(), connection))
        if self._sweep is None:
            self._sweep = loop.call_later(KEPT_SECONDS, self._close_old)

    def _close_old(self) -> None:
        loop = asyncio.get_running_loop()
        for key, kept in list(self._kept.items()):
            while kept and kept[0][0] + KEPT_SECONDS <= loop.time():
                kept.pop(0)[1].cut()
            if not kept:
                del self._kept[key]
        self._sweep = loop.call_later(KEPT_SECONDS / 4, self._close_old) if self._kept else None


async def _opened(there: Target, seconds: float) -> Connection:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            secured = tls() if there.secure else None
            _, connection = await loop.create_connection(Connection, there.host, there.port, ssl=secured)
    except TimeoutError:
        raise Disconnected(f"No connection within {seconds:g} s") from None
    return connection


def _lines(headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header of several lines")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
