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
    held: datetime | None = None
    """Until when nobody may ask, whatever moment was given before."""


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
        found, now = self._change(
            endpoint, lambda free, now: max(free, now) + timedelta(seconds=60 / per_minute) if per_minute else free
        )
        return _until(found.at, now)

    def held(self, endpoint: str) -> float:
        """Seconds until the receiver wants any again, for one whose moment has come."""
        now = self._clock()
        found, _ = self._read(_file(endpoint), now)
        return _until(found.held or now, now)

    def hold(self, endpoint: str, seconds: float) -> None:
        """Give no moment away for so long: the receiver has said Retry-After.

        Raises:
            UpstreamBusy: too many ask at once.
        """
        self._change(endpoint, lambda free, now: max(free, now + timedelta(seconds=seconds)), seconds)

    def _change(
        self, endpoint: str, change: Callable[[datetime, datetime], datetime], hold: float = 0
    ) -> tuple[_Next, datetime]:
        """What was there before, and when."""
        for _ in range(_TRIES):
            now = self._clock()
            found, etag = self._read(_file(endpoint), now)
            held = max(found.held or now, now + timedelta(seconds=hold)) if hold else found.held
            following = _Next(at=change(found.at, now), held=held)
            try:
                if following != found:
                    data = following.model_dump_json().encode()
                    self._system.write(_file(endpoint), data, etag=etag or None, create=not etag)
            except ChangedMeanwhile:
                self._sleep(random.random() / 10)
                continue
            return found, now
        raise UpstreamBusy("Too many deliveries ask at once when they may be made")

    def _read(self, name: str, now: datetime) -> tuple[_Next, str]:
        try:
            found = self._system.read(name)
        except NotFound:
            return _Next(at=now), ""
        return _Next.model_validate_json(found.data), found.etag


def _file(endpoint: str) -> str:
    return f"deliveries/pace/{endpoint}.json"


def _until(moment: datetime, now: datetime) -> float:
    return max(0.0, (moment - now).total_seconds())
