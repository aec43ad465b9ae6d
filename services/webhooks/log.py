"""What was delivered to whom, and how: one blob a delivery, kept for some days."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from services.cloud.ports.storage import BlobStore
from services.errors import NotFound
from services.state import Event

FOLDER = "deliveries/log/"
MOST_SECONDS = 60.0
"""Of one sweep: a timer comes again, and a function's time is limited."""
log = logging.getLogger(__name__)


class Attempt(BaseModel):
    """One attempt, as the log shows it."""

    number: int
    time: datetime
    status: int
    answer: str


class Delivery(BaseModel):
    """One event to one receiver, with its attempts: `deliveries/log/<endpoint>/<delivery>.json`."""

    id: str
    endpoint: str
    event: str
    type: str
    state: Literal["pending", "delivered", "failed"] = "pending"
    reason: str = ""
    """Why it failed for good."""
    next_attempt: datetime | None = None
    content: Event | None = None
    """What was sent, to be sent again."""
    before_replay: int = 0
    """Attempts that had been made when it was asked for again: the schedule counts from there."""
    attempts: list[Attempt] = Field(default_factory=list)


def first(delivery: str, endpoint: str, event: Event) -> Delivery:
    """A delivery before its first attempt."""
    return Delivery(id=delivery, endpoint=endpoint, event=event.id, type=event.type, content=event)


def deliveries(system: BlobStore, endpoint: str, limit: int = 100) -> list[dict[str, Any]]:
    """The newest deliveries to a receiver, newest first."""
    found = sorted(system.list(f"{FOLDER}{endpoint}/"), key=lambda b: b.modified, reverse=True)
    kept = (_kept(system, blob.name) for blob in found[:limit])
    return [each for each in kept if each is not None]


def _kept(system: BlobStore, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(system.read(name).data)
    except NotFound:
        return None  # forgotten since it was listed
    return found


def file_of(endpoint: str, delivery: str) -> str:
    return f"{FOLDER}{endpoint}/{delivery}.json"


class LogRetention:
    """Forgets deliveries: their attempts, and what was sent. One still to be tried is younger than any limit."""

    def __init__(self, system: BlobStore, days: int, clock: Callable[[], datetime]) -> None:
        """`days` since the last attempt, over the six that a receiver can ask to wait for one; `clock` in UTC."""
        self._system, self._days, self._clock = system, days, clock

    def oldest(self) -> datetime:
        """Nothing that was written since then is forgotten."""
        return self._clock() - timedelta(days=self._days)

    def forget(self) -> int:
        """Delete what is too old, for a minute at most; returns how many. The next sweep goes on where this ends."""
        oldest, ends, gone = self.oldest(), self._clock() + timedelta(seconds=MOST_SECONDS), 0
        for blob in self._system.list(FOLDER):
            if self._clock() >= ends:
                log.info("%d deliveries are forgotten, and more are left for the next time", gone)
                break
            if blob.modified < oldest:
                self._system.delete(blob.name)
                gone += 1
        return gone
