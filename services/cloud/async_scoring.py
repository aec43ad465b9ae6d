"""Calls one slot of an online endpoint from the event loop: no SDK and no thread is on the way of a prediction.

What it needs is imported at the first prediction, while storage is waited for. A caller that is cancelled closes its
connection to the slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import DecodeError

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
from services.errors import Conflict, UpstreamBusy
from services.threads import in_thread

if TYPE_CHECKING:
    from services.cloud.connections import Connections
    from services.cloud.exchange import Response


def load() -> None:
    """Import and read what a first prediction would wait for, and keep memory for its requests."""
    from services.cloud.connections import tls
    from services.cloud.memory import collect_less_often, keep_freed_buffers

    tls()
    keep_freed_buffers()
    collect_less_often()


class AsyncEndpointScorer:
    """The `AsyncScorer` of real endpoints, for all requests of one event loop."""

    def __init__(self, connections: int) -> None:
        """So many requests at most are under way at once; further ones wait, within their deadlines."""
        self._limit = connections
        self._opened: tuple[asyncio.AbstractEventLoop, Connections] | None = None

    async def score(
        self, scoring_uri: str, slot: str, images: Sequence[bytes], *, deadline: float
    ) -> list[dict[str, object]]:
        """See `AsyncScorer.score`."""
        answer = await self._post(scoring_uri, slot, request_pieces(images), deadline)
        return read_answer(answer, len(images), slot)

    async def forward(self, scoring_uri: str, slot: str, body: bytes, *, deadline: float) -> bytes:
        """See `AsyncScorer.forward`."""
        return await self._post(scoring_uri, slot, [body], deadline)

    async def _post(self, scoring_uri: str, slot: str, body: list[bytes], deadline: float) -> bytes:
        from services.cloud.exchange import AnswerBroken

        try:
            async with asyncio.timeout(deadline):
                known = known_bearer(scoring_uri)
                address, token = known if known is not None else await in_thread(partial(bearer, scoring_uri))
                headers = request_headers(slot, token)
                answer = await self._connections().post(address, headers, body, connect_seconds=CONNECT_SECONDS)
                data = await _plain(answer)
        except TimeoutError as error:
            raise too_late(slot, deadline) from error
        except (OSError, ValueError) as error:
            raise broken(error, slot, answered=isinstance(error, AnswerBroken)) from error
        if answer.status != 200:
            _check(answer, data, slot)
        return data

    def close(self) -> None:
        """Close the connections that wait for a next request."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened[1].close()

    def _connections(self) -> Connections:
        """Of this event loop: those of another, which has ended, are of no use."""
        from services.cloud.connections import Connections

        loop = asyncio.get_running_loop()
        if self._opened is None or self._opened[0] is not loop:
            self._opened = loop, Connections(self._limit)
        return self._opened[1]


def _check(answer: Response, data: bytes, slot: str) -> None:
    try:
        check_status(answer.status, HTTPHeaderDict(answer.headers), data, slot)
    except Conflict as error:  # something is being done to the endpoint, which is no matter of who asks
        raise UpstreamBusy(error.detail) from None


async def _plain(answer: Response) -> bytes:
    """What it says: some gateways compress it, although nobody asked them to."""
    if not any(name.lower() == b"content-encoding" for name, _ in answer.head):
        return answer.data
    return await in_thread(partial(_decoded, answer))


def _decoded(answer: Response) -> bytes:
    from services.cloud.exchange import MOST_BODY, AnswerBroken

    coded = HTTPResponse(BytesIO(answer.data), answer.headers, preload_content=False)
    try:
        data = coded.read(MOST_BODY + 1, decode_content=True)
    except DecodeError:
        raise AnswerBroken("The answer is not in the coding that it names") from None
    if len(data) > MOST_BODY:
        raise AnswerBroken("The answer is too long")
    return data
