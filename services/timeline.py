"""The append-only record of what happened to a loop and why: one JSON Lines blob a day.

An event may be appended twice by a process that died before it noted the first time; a reader sees it once, by its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from services.cloud.ports.storage import BlobStore
from services.state import Event


def sequence_of(event_id: str) -> int:
    """The number in `<loop>-<number>`; 0 where there is none."""
    number = event_id.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() else 0


class Timeline:
    """The timelines of all loops, in the system container."""

    def __init__(self, system: BlobStore) -> None:
        """`system` is the container that only we write."""
        self._system = system

    def append(self, events: Sequence[Event]) -> None:
        """Append events of one loop, in their order."""
        for day in sorted({e.time.date() for e in events}):
            lines = [e.model_dump_json() for e in events if e.time.date() == day]
            name = f"timeline/{events[0].subject}/{day.isoformat()}.jsonl"
            self._system.append(name, ("\n".join(lines) + "\n").encode())

    def read(self, loop: str, limit: int = 100, before: str | None = None) -> list[Event]:
        """The newest `limit` events, newest first; with `before`, an event's id, those older than it."""
        found: dict[int, Event] = {}
        newest = sequence_of(before) if before else None
        for name in sorted((b.name for b in self._system.list(f"timeline/{loop}/")), reverse=True):
            day = {sequence_of(e.id): e for e in _events(self._system.read(name).data)}
            found.update((n, e) for n, e in day.items() if newest is None or n < newest)
            if len(found) >= limit:
                break
        return [found[n] for n in sorted(found, reverse=True)[:limit]]

    def between(self, loop: str, since: datetime, until: datetime) -> list[Event]:
        """The events from `since` on and before `until`, oldest first."""
        found: dict[str, Event] = {}
        for name in sorted(b.name for b in self._system.list(f"timeline/{loop}/")):
            if since.date().isoformat() <= name.rpartition("/")[2].removesuffix(".jsonl") <= until.date().isoformat():
                found.update((e.id, e) for e in _events(self._system.read(name).data) if since <= e.time < until)
        return sorted(found.values(), key=lambda e: sequence_of(e.id))


def _events(lines: bytes) -> Iterable[Event]:
    return (Event.model_validate_json(line) for line in lines.splitlines() if line)
