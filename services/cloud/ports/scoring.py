"""What the product needs of an endpoint that answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Scorer(Protocol):
    """Calls one slot of an endpoint."""

    def score(
        self, scoring_uri: str, slot: str, images: Sequence[bytes], *, deadline: float
    ) -> list[dict[str, object]]:
        """Azure ML's answer, one object an image; `deadline` in seconds from now.

        Raises:
            Upstream: with UpstreamBusy, UpstreamTimeout and UpstreamUnreached where they fit better.
        """
        ...

    def forward(self, scoring_uri: str, slot: str, body: bytes, *, deadline: float) -> bytes:
        """The same for a body and an answer in Azure ML's own shape, neither of which is looked at."""
        ...


class AsyncScorer(Protocol):
    """The same from the event loop; cancelling a call cancels the slot's request."""

    async def score(
        self, scoring_uri: str, slot: str, images: Sequence[bytes], *, deadline: float
    ) -> list[dict[str, object]]:
        """See `Scorer.score`."""
        ...

    async def forward(self, scoring_uri: str, slot: str, body: bytes, *, deadline: float) -> bytes:
        """See `Scorer.forward`."""
        ...
