"""Kept HTTP/1.1 connections of one event loop, to a few hosts; imported at the first prediction.

An HTTP client of our own, for this one purpose, as measured in docs/benchmarks.md: a POST of bytes that are there, to
addresses that are ours, no redirects, cookies, proxies or content codings.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import urlsplit

from services.cloud.exchange import Connection, Disconnected, Response

NEXT_ADDRESS_SECONDS = 0.25
"""Of a host's addresses the next is tried beside one that takes longer to answer (RFC 8305)."""
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
    if url.scheme not in {"http", "https"} or not url.hostname or re.search(r"[\0- \x7f]", address):
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
        self._closed = False

    async def post(
        self, address: str, headers: Mapping[str, str], body: list[bytes], *, connect_seconds: float
    ) -> Response:
        """Send the pieces of a body, one after the other, as they lie in memory; they are taken out of the list.

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
        """Close those that wait for a next request, and each that is in use after its answer."""
        self._closed = True
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
            if connection.usable and connection.silent:
                return connection
            connection.cut()
        return None

    def _keep(self, there: Target, connection: Connection) -> None:
        if self._closed or not connection.usable:
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
    """What goes wrong is told by another error of its kind: one with all its frames would hold the image in a cycle."""
    kind: type[OSError]
    try:
        async with asyncio.timeout(seconds):
            found = await asyncio.get_running_loop().getaddrinfo(there.host, there.port, type=socket.SOCK_STREAM)
            return await _first(there, [*dict.fromkeys(str(address[0]) for *_, address in found)])
    except TimeoutError:
        kind, said = Disconnected, (f"No connection within {seconds:g} s",)
    except OSError as error:
        kind, said = type(error.with_traceback(None)), error.args
    raise kind(*said)


async def _first(there: Target, addresses: list[str]) -> Connection:
    """The address that answers first; asyncio's own way loses connections where whoever waits is cancelled."""
    trying: set[asyncio.Task[Connection]] = set()
    try:
        while True:
            if addresses:
                trying.add(asyncio.create_task(_connected(there, addresses.pop(0))))
            seconds = NEXT_ADDRESS_SECONDS if addresses else None
            for task in (await asyncio.wait(trying, timeout=seconds, return_when=asyncio.FIRST_COMPLETED))[0]:
                trying.remove(task)
                if task.exception() is None or not (trying or addresses):
                    return task.result()
    finally:
        for task in trying:
            task.cancel()
            task.add_done_callback(_unwanted)


async def _connected(there: Target, address: str) -> Connection:
    secured, name = (tls(), there.host) if there.secure else (None, None)
    make = asyncio.get_running_loop().create_connection
    return (await make(Connection, address, there.port, ssl=secured, server_hostname=name))[1]


def _unwanted(task: asyncio.Task[Connection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().cut()


def _lines(headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header of several lines")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
