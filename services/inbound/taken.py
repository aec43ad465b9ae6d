"""Which messages were taken: a repeated `webhook-id` is acknowledged and does nothing.

A sender repeats a message for days with a new timestamp each time, so that its age does not tell a repetition.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import BaseModel, Field

from services.cloud.ports.storage import BlobStore
from services.inbound.documents import change, read
from services.names import digest

KEPT = timedelta(days=7)
_SHELF = 3
"""Hexadecimal digits: 4096 documents hold the ids of a source, so that none grows long and few writers meet."""


class _Shelf(BaseModel):
    at: dict[str, datetime] = Field(default_factory=dict)
    begun: dict[str, datetime] = Field(default_factory=dict)
    """When messages came first that are not taken yet."""


class Begun(NamedTuple):
    """A message that is not taken yet."""

    at: datetime
    """When it came first."""
    again: bool
    """Whether that was before."""


class Taken:
    """The messages of all sources."""

    def __init__(self, system: BlobStore, clock: Callable[[], datetime]) -> None:
        """`system` is the container that only we write."""
        self._system, self._clock = system, clock

    def has(self, source: str, message: str) -> bool:
        """Whether the message was noted."""
        key = digest(message, length=32)
        return key in read(self._system, _name(source, key), _Shelf)[0].at

    def begin(self, source: str, message: str) -> Begun | None:
        """Note that a message came, and tell when it first did; None where it was taken.

        It tells what is newer: a sender whose message was cut off repeats it after others that it has sent since.
        """
        key, now = digest(message, length=32), self._clock()

        def add(shelf: _Shelf) -> None:
            shelf.begun = _kept(shelf.begun, now)
            if key not in shelf.at:
                shelf.begun.setdefault(key, now)

        shelf = change(self._system, _name(source, key), _Shelf, add)
        return None if key in shelf.at else Begun(shelf.begun[key], again=shelf.begun[key] < now)

    def note(self, source: str, message: str) -> None:
        """Note a message after its effects: one that is cut off before is taken again, which does no harm."""
        key, now = digest(message, length=32), self._clock()

        def add(shelf: _Shelf) -> None:
            shelf.at = _kept(shelf.at, now) | {key: now}
            shelf.begun.pop(key, None)

        change(self._system, _name(source, key), _Shelf, add)


def _kept(times: dict[str, datetime], now: datetime) -> dict[str, datetime]:
    return {key: at for key, at in times.items() if now - at < KEPT}


def _name(source: str, key: str) -> str:
    return f"inbound/{source}/taken/{key[:_SHELF]}.json"
