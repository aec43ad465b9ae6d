"""How often a receiver may be asked, over all processes: `deliveries/pace/<endpoint>.json` says when it may be next."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import BaseModel

from services.cloud.ports.storage import BlobStore
from services.errors import ChangedMeanwhile, NotFound, UpstreamBusy

_TRIES = 10


class _Next(BaseModel):
    at: datetime


class Pace:
    """Gives moments away, each to one request."""

    def __init__(
        self, system: BlobStore, clock: Callable[[], datetime], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`sleep` is for a moment, where several ask at once."""
        self._system, self._clock, self._sleep = system, clock, sleep

    def reserve(self, endpoint: str, per_minute: int | None) -> float:
        """Seconds until the moment that is this request's own; with no rate, until the receiver wants any again.

        Raises:
            UpstreamBusy: too many ask at once.
        """

        def take(free: datetime, now: datetime) -> datetime:
            return max(free, now) + timedelta(seconds=60 / per_minute) if per_minute else free

        return self._change(endpoint, take)

    def hold(self, endpoint: str, seconds: float) -> None:
        """Give no moment away for so long: the receiver has said Retry-After.

        Raises:
            UpstreamBusy: too many ask at once.
        """
        self._change(endpoint, lambda free, now: max(free, now + timedelta(seconds=seconds)))

    def _change(self, endpoint: str, change: Callable[[datetime, datetime], datetime]) -> float:
        name = f"deliveries/pace/{endpoint}.json"
        for _ in range(_TRIES):
            now = self._clock()
            free, etag = self._read(name, now)
            following = change(free, now)
            try:
                if following != free:
                    data = _Next(at=following).model_dump_json().encode()
                    self._system.write(name, data, etag=etag or None, create=not etag)
            except ChangedMeanwhile:
                self._sleep(random.random() / 10)
                continue
            return max(0.0, (free - now).total_seconds())
        raise UpstreamBusy("Too many deliveries ask at once when they may be made")

    def _read(self, name: str, now: datetime) -> tuple[datetime, str]:
        try:
            found = self._system.read(name)
        except NotFound:
            return now, ""
        return _Next.model_validate_json(found.data).at, found.etag
