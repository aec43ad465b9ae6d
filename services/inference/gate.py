"""A limit of requests under way: one more is told to come again, as queueing would only make all of them late."""

from __future__ import annotations

from services.errors import TooBusy


class Gate:
    """What is done within `with gate:` is a request under way. Only the event loop may enter."""

    def __init__(self, limit: int) -> None:
        """`limit` requests at once."""
        self._limit, self._under_way = limit, 0

    def __enter__(self) -> None:
        """Come in.

        Raises:
            TooBusy: as many are under way as may be.
        """
        if self._under_way >= self._limit:
            raise TooBusy(f"{self._limit} predictions are under way, as many as one process makes", retry_after=1)
        self._under_way += 1

    def __exit__(self, *_: object) -> None:
        self._under_way -= 1
