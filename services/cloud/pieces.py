"""A request's body in pieces that are sent as they lie in memory; imported with aiohttp, at the first prediction.

Put together with its headers, as aiohttp does with bytes, a body of some hundred KB is copied on its way: that was
measured to cost as much as all the rest of the request, and more on a busy machine.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter

MOST_AT_ONCE = 1 << 19
"""Bytes: a larger piece waits in between until the connection has taken some, and other requests have their turn."""


class Pieces(Payload):
    """The bytes of `pieces`, one after the other."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        super().__init__(pieces, content_type="application/json")
        self._pieces = pieces

    @property
    def size(self) -> int:
        """In bytes: sent as Content-Length."""
        return sum(map(len, self._pieces))

    @property
    def autoclose(self) -> bool:
        """There is nothing to be closed."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return b"".join(self._pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send all of it."""
        for piece in self._pieces:
            if len(piece) <= MOST_AT_ONCE:
                await writer.write(piece)
                continue
            whole = memoryview(piece)
            for start in range(0, len(piece), MOST_AT_ONCE):
                await writer.write(whole[start : start + MOST_AT_ONCE])
