"""Counts who asks and holds quotas, in memory; what is counted is written by a thread that no request waits for."""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from services.access.bucket import Bucket
from services.access.usage import Usage, Use
from services.errors import OverQuota, VisionloopError

EVERY_SECONDS = 10.0
SOON_SECONDS = 1.0
"""The first write of a day comes soon: it also tells what other processes have counted."""
MOST_NAMES = 1000
OTHERS = "others"
"""Whoever comes when as many are counted as are told apart."""
log = logging.getLogger(__name__)


class Quota(NamedTuple):
    """How many requests are let in; None is no limit."""

    per_minute: int | None = None
    """In each process."""
    per_day: int | None = None
    """In all processes, of a day in UTC."""


NONE = Quota()


@dataclass(slots=True)
class _Day:
    uses: dict[str, Use] = field(default_factory=dict)
    elsewhere: dict[str, int] = field(default_factory=dict)
    changed: bool = False
    written: bool = False


class Meter:
    """One for a process."""

    def __init__(
        self,
        usage: Callable[[], Usage],
        clock: Callable[[], datetime],
        ticks: Callable[[], float] = time.monotonic,
        every: float = EVERY_SECONDS,
    ) -> None:
        """`usage` is made when there is something to write; a loop's counts are written once in `every` seconds."""
        self._usage, self._clock, self._ticks, self._every = usage, clock, ticks, every
        self._process = uuid.uuid4().hex[:12]
        self._lock, self._flushing = threading.Lock(), threading.Lock()
        self._days: dict[tuple[str, date], _Day] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._timer: threading.Timer | None = None

    def take(self, loop: str, who: str, quota: Quota = NONE) -> None:
        """Count one request, where quotas allow it.

        Raises:
            OverQuota: saying which, and when to come again.
        """
        now = self._clock()
        with self._lock:
            day = self._days.setdefault((loop, now.date()), _Day())
            name = who if who in day.uses or len(day.uses) < MOST_NAMES else OTHERS
            use = day.uses.setdefault(name, Use(last=now))
            if quota.per_day is not None and use.count + day.elsewhere.get(name, 0) >= quota.per_day:
                raise _over(f"{quota.per_day} requests of this day, which ends at midnight UTC,", _until_midnight(now))
            if quota.per_minute is not None:
                self._take_token(loop, who, quota.per_minute)
            use.count, use.last, day.changed = use.count + 1, now, True
            self._start(self._every if day.written else SOON_SECONDS)

    def _take_token(self, loop: str, who: str, per_minute: int) -> None:
        now = self._ticks()
        bucket = self._buckets.get((loop, who))
        if bucket is None:
            bucket = self._buckets[loop, who] = Bucket(per_minute, now)
        if wait := bucket.take(per_minute, now):
            raise _over(f"{per_minute} requests a minute", wait)

    def _start(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = threading.Timer(min(seconds, self._every), self.flush)
            self._timer.daemon = True
            self._timer.start()

    def flush(self) -> None:
        """Write what has changed; what could not be written is written later."""
        with self._flushing:  # a write that takes long must not end after a later one
            self._flush()

    def _flush(self) -> None:
        today = self._clock().date()
        with self._lock:
            self._timer = None
            changed = {about: {**day.uses} for about, day in self._days.items() if day.changed}
            for about in changed:
                self._days[about].changed = False
        for about, uses in changed.items():
            self._write(*about, uses)
        with self._lock:
            for about in [a for a, day in self._days.items() if a[1] < today and not day.changed]:
                del self._days[about]

    def _write(self, loop: str, day: date, uses: dict[str, Use]) -> None:
        try:
            elsewhere = self._usage().write(loop, day, self._process, uses)
        except VisionloopError as error:
            log.warning("What is asked of %s could not be noted yet: %s", loop, error.detail)
            with self._lock:
                self._days[loop, day].changed = True
                self._start(self._every)
            return
        with self._lock:
            known = self._days[loop, day]
            known.elsewhere, known.written = elsewhere, True


def _over(used: str, wait: float) -> OverQuota:
    return OverQuota(f"Your {used} are used up", retry_after=math.ceil(wait))


def _until_midnight(now: datetime) -> float:
    midnight = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
    return (midnight - now).total_seconds()
