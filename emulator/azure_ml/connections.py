"""Lets a fault cut a client's connection, which no ASGI application can do by itself."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol


class CuttableProtocol(H11Protocol):
    """uvicorn's own protocol, which remembers each client's transport."""

    transports: ClassVar[dict[tuple[str, int], asyncio.Transport]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A client came."""
        super().connection_made(transport)
        if self.client is not None:
            self.transports[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """A client went."""
        super().connection_lost(exc)
        if self.client is not None:
            self.transports.pop(self.client, None)


def cut(client: tuple[str, int] | None) -> bool:
    """Cut a client's connection at once; returns whether there was one."""
    transport = CuttableProtocol.transports.get(client) if client is not None else None
    if transport is not None:
        transport.abort()
    return transport is not None
