"""Connections to an address that was checked, under the name asked for, so that no second look-up leads elsewhere."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from functools import cache, partial
from types import TracebackType
from typing import Any, Self

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class Deadline:
    """Cuts what it watches once its time is up.

    A socket's timeout is for each read, and a server that sends a byte at a time begins it anew for ever.
    """

    def __init__(self, seconds: float) -> None:
        """From when the block is entered."""
        self._timer, self._lock = threading.Timer(seconds, self._cut), threading.Lock()
        self._timer.daemon = True
        self._watched: list[socket.socket] = []
        self.over = False

    def watch(self, connection: socket.socket) -> None:
        """Cut this one too: a copy, as TLS takes the socket itself over."""
        with self._lock:
            self._watched.append(connection.dup())
        if self.over:
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            for connection in self._watched:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()
        with self._lock:
            for connection in self._watched:
                connection.close()
            self._watched.clear()


class _Plain(HTTPConnection):
    def __init__(self, *given: Any, deadline: Deadline, **named: Any) -> None:
        super().__init__(*given, **named)
        self._deadline = deadline

    def _new_conn(self) -> socket.socket:
        found = super()._new_conn()
        self._deadline.watch(found)
        return found


class _Secure(_Plain, HTTPSConnection):
    """The same over TLS."""


def pinned_pool(
    address: str, port: int, host: str, *, secure: bool, deadline: Deadline | None = None
) -> urllib3.HTTPConnectionPool:
    """One connection to `address`, which `deadline` cuts; the certificate is held against `host`."""
    pool = _pool(address, port, host, secure=secure)
    if deadline is not None:
        pool.ConnectionCls = partial(_Secure if secure else _Plain, deadline=deadline)  # type: ignore[assignment]
    return pool


def _pool(address: str, port: int, host: str, *, secure: bool) -> urllib3.HTTPConnectionPool:
    if not secure:
        return urllib3.HTTPConnectionPool(address, port, maxsize=1)
    return urllib3.HTTPSConnectionPool(
        address, port, maxsize=1, ssl_context=_tls(), server_hostname=host, assert_hostname=host
    )
