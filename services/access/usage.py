"""How much was asked with each key by day: `access/<loop>/<day>.json`, a row a process, so writing twice does no harm.

Each process writes its own row by compare-and-set, which tells it the others' at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from pydantic import BaseModel, Field

from services.cloud.ports.storage import BlobStore
from services.errors import ChangedMeanwhile, NotFound

KEPT_DAYS = 31
_TRIES = 4


def usage_blob(loop: str, day: date) -> str:
    """Where the counts of a day are, in UTC."""
    return f"access/{loop}/{day.isoformat()}.json"


class Use(BaseModel):
    """How often somebody asked on a day, and when last."""

    count: int = 0
    last: datetime


Uses = Mapping[str, Use]
"""By a key's id, or by an identity's name."""


class _Document(BaseModel):
    processes: dict[str, dict[str, Use]] = Field(default_factory=dict)


class Used(BaseModel):
    """What is shown of somebody: the counts by day, the newest first."""

    last_used: datetime | None = None
    used: dict[str, int] = Field(default_factory=dict)


class Usage:
    """The counts in storage."""

    def __init__(self, system: BlobStore) -> None:
        """`system` is the container that only we write."""
        self._system = system

    def write(self, loop: str, day: date, process: str, uses: Uses) -> dict[str, int]:
        """Put a process's row; returns what all others counted, by whom. A day that is over long enough is deleted.

        Raises:
            ChangedMeanwhile: too many write at this moment.
        """
        for _ in range(_TRIES):
            document, etag = self._read(loop, day)
            document.processes[process] = dict(uses)
            data = document.model_dump_json().encode()
            try:
                self._system.write(usage_blob(loop, day), data, etag=etag or None, create=not etag)
            except ChangedMeanwhile:
                continue
            if not etag:
                self._system.delete(usage_blob(loop, day - timedelta(days=KEPT_DAYS)))
            return _counted(document, process)
        raise ChangedMeanwhile(f"The usage of {loop} is being written by others")

    def read(self, loop: str, today: date) -> dict[str, Used]:
        """What is known of everybody, of the last days."""
        found: dict[str, Used] = {}
        for back in range(KEPT_DAYS):
            day = today - timedelta(days=back)
            for row in self._read(loop, day)[0].processes.values():
                _add(found, day, row)
        return found

    def _read(self, loop: str, day: date) -> tuple[_Document, str]:
        try:
            blob = self._system.read(usage_blob(loop, day))
        except NotFound:
            return _Document(), ""
        return _Document.model_validate_json(blob.data), blob.etag


def _counted(document: _Document, process: str) -> dict[str, int]:
    counted: dict[str, int] = {}
    for name, row in document.processes.items():
        for who, use in row.items() if name != process else ():
            counted[who] = counted.get(who, 0) + use.count
    return counted


def _add(found: dict[str, Used], day: date, row: Uses) -> None:
    for who, use in row.items():
        one = found.setdefault(who, Used())
        one.used[day.isoformat()] = one.used.get(day.isoformat(), 0) + use.count
        one.last_used = max(one.last_used or use.last, use.last)
