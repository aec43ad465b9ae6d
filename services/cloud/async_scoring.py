"""Calls one slot of an online endpoint from the event loop: no SDK and no thread is on the way of a prediction.

The client is aiohttp (https://docs.aiohttp.org/en/stable/client_reference.html), imported at the first prediction,
while storage is waited for. A caller that is cancelled closes its connection to the slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from services.cloud.endpoint_token import bearer, known_bearer
from services.cloud.scoring_contract import (
    CONNECT_SECONDS,
    broken,
    check_status,
    read_answer,
    request_headers,
    request_pieces,
    too_late,
)
from services.threads import in_thread

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from yarl import URL

LEAST_SECONDS = 0.001
"""For aiohttp, no time at all is no limit."""
KEPT_SECONDS = 60.0
"""How long a connection is kept for the next request; one that the other side closes is noticed before."""


def load() -> None:
    """Import the client, which takes longer than all of a prediction, and keep memory for its requests."""
    import services.cloud.at_once
    import services.cloud.pieces  # noqa: F401  # both import aiohttp
    from services.cloud.memory import collect_less_often, keep_freed_buffers

    keep_freed_buffers()
    collect_less_often()


class AsyncEndpointScorer:
    """The `AsyncScorer` of real endpoints, for all requests of one event loop."""

    def __init__(self, connections: int) -> None:
        """So many requests at most are under way at once; further ones wait, within their deadlines."""
        self._connections = connections
        self._opened: tuple[asyncio.AbstractEventLoop, ClientSession] | None = None

    async def score(
        self, scoring_uri: str, slot: str, images: Sequence[bytes], *, deadline: float
    ) -> list[dict[str, object]]:
        """See `AsyncScorer.score`."""
        answer = await self._post(scoring_uri, slot, request_pieces(images), deadline)
        return read_answer(answer, len(images), slot)

    async def forward(self, scoring_uri: str, slot: str, body: bytes, *, deadline: float) -> bytes:
        """See `AsyncScorer.forward`."""
        return await self._post(scoring_uri, slot, (body,), deadline)

    async def _post(self, scoring_uri: str, slot: str, body: Sequence[bytes], deadline: float) -> bytes:
        taken = known_bearer(scoring_uri)
        if taken is None:
            taken = await in_thread(partial(bearer, scoring_uri))
        address, token = taken
        session = await self._session()
        from aiohttp import ClientError, ClientPayloadError, ClientTimeout

        from services.cloud.pieces import Pieces

        left = max(deadline, LEAST_SECONDS)
        limit = ClientTimeout(total=left, sock_connect=min(CONNECT_SECONDS, left))
        sent = Pieces(body)
        try:
            async with session.post(
                _url(address), data=sent, headers=request_headers(slot, token), allow_redirects=False, timeout=limit
            ) as answer:
                data = await answer.read()
        except TimeoutError as error:
            raise too_late(slot, deadline) from error
        except (ClientError, OSError) as error:
            raise broken(error, slot, answered=isinstance(error, ClientPayloadError)) from error
        check_status(answer.status, answer.headers, data, slot)
        return data

    def close_at_exit(self) -> None:
        """The event loop has ended by then: aiohttp would only complain, in the log, of what the system closes."""
        with suppress(RuntimeError):
            asyncio.run(self.close())

    async def close(self) -> None:
        """Close all connections."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened[1].close()

    async def _session(self) -> ClientSession:
        """Of this event loop: connections of another, which has ended, are of no use."""
        loop = asyncio.get_running_loop()
        if self._opened is None or self._opened[0] is not loop:
            await self.close()
            self._opened = loop, _open(self._connections)
        return self._opened[1]


def _open(connections: int) -> ClientSession:
    """It trusts what OpenSSL trusts (`SSL_CERT_FILE`), by aiohttp's own default, and keeps no cookies."""
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector

    from services.cloud.at_once import AtOnce

    connector = TCPConnector(limit=connections, keepalive_timeout=KEPT_SECONDS)
    return ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept"),
        request_class=AtOnce,
    )


@lru_cache(maxsize=64)
def _url(address: str) -> URL:
    from yarl import URL

    return URL(address, encoded=True)
