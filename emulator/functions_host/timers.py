"""Timer triggers: NCRONTAB schedules, one run at a time, and whether the last one was missed."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.functions.meta import Datum

from emulator.functions_host.bindings import Function, Invoker, resolve
from emulator.state_files import write_json

log = logging.getLogger("host")
NEVER = "0001-01-01T00:00:00+00:00"
"""What .NET's first moment looks like: the last time of a timer that has not run."""
MONITORED_TIMES = 5
"""So many times to come are looked at to see how closely they follow."""
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NAMES = {name: n for n, name in enumerate(_MONTHS, 1)} | {name: n for n, name in enumerate(_DAYS)}
_RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


class Schedule:
    """Six fields, seconds first: numbers, names of months and days, `*`, ranges, lists and steps, in UTC.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
    """

    def __init__(self, text: str) -> None:
        """Read an expression.

        Raises:
            ValueError: it is none.
        """
        fields = text.split()
        if len(fields) != len(_RANGES):
            raise ValueError(f"{text!r} has not six fields")
        self._allowed = [_values(field, *bounds) for field, bounds in zip(fields, _RANGES, strict=True)]

    def after(self, moment: datetime) -> datetime:
        """The first time later than `moment`.

        Raises:
            ValueError: none within four years.
        """
        seconds, minutes, hours, days, months, weekdays = self._allowed
        found = moment.replace(microsecond=0) + timedelta(seconds=1)
        ends = moment + timedelta(days=1462)
        while found < ends:
            if found.month not in months or found.day not in days or (found.weekday() + 1) % 7 not in weekdays:
                found = found.replace(hour=0, minute=0, second=0) + timedelta(days=1)
            elif found.hour not in hours:
                found = found.replace(minute=0, second=0) + timedelta(hours=1)
            elif found.minute not in minutes:
                found = found.replace(second=0) + timedelta(minutes=1)
            elif found.second not in seconds:
                found += timedelta(seconds=1)
            else:
                return found
        raise ValueError("the schedule never comes")

    def is_monitored(self, moment: datetime) -> bool:
        """Whether a missed time is caught up: not where times follow in less than a minute."""
        first = self.after(moment)
        times = list(itertools.accumulate(range(MONITORED_TIMES), lambda at, _: self.after(at), initial=first))
        return all(after - before >= timedelta(minutes=1) for before, after in itertools.pairwise(times))


def _values(field: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if first == "*" else _number(first)
        end = high if first == "*" or (step and not last) else _number(last or first)
        if not low <= start <= end <= high:
            raise ValueError(f"{part!r} is not within {low} to {high}")
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str) -> int:
    return _NAMES[text[:3].upper()] if text[:3].upper() in _NAMES else int(text)


class Timer:
    """Runs one timer-triggered function, as the Timers extension does.

    https://github.com/Azure/azure-webjobs-sdk-extensions/blob/dev/src/WebJobs.Extensions/Extensions/Timers/Listener/TimerListener.cs
    """

    def __init__(self, function: Function, invoker: Invoker, folder: Path) -> None:
        """`folder` keeps when the timer ran last."""
        self._function, self._invoker = function, invoker
        self._text = resolve(str(function.trigger["schedule"]))
        self._schedule = Schedule(self._text)
        asked = function.trigger.get("useMonitor") is not False
        self._monitored = asked and self._schedule.is_monitored(datetime.now(UTC))
        self._last = NEVER
        self._file = folder / f"{function.name}.json"

    async def run(self, stopping: asyncio.Event) -> None:
        """Wait for each time in turn; a time that was missed while the host was down runs at once, as past due.

        A run that takes longer than to the next time is followed by one run at once, however many times it missed.
        """
        now = datetime.now(UTC)
        due = self._next_due(now)
        past_due, at_start = due < now, self._function.trigger.get("runOnStartup") is True
        self._remember(due)
        while not stopping.is_set():
            now = datetime.now(UTC)
            if now < due and not at_start:
                await _sleep(stopping, (due - now).total_seconds())
                continue
            await self._tick(due, past_due=past_due)
            self._last = now.isoformat()
            due = self._schedule.after(now)
            past_due = at_start = False
            self._remember(due)

    def _next_due(self, now: datetime) -> datetime:
        """The remembered time, unless the schedule is another one now, or catches nothing up."""
        try:
            kept = json.loads(self._file.read_text())
            if self._monitored and kept["schedule"] == self._text:
                self._last = kept["last"] or NEVER
                return datetime.fromisoformat(kept["next"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # the first start, or a file that was cut off: no time was missed that we know of
        return self._schedule.after(now)

    def _remember(self, due: datetime) -> None:
        if self._monitored:
            write_json(self._file, {"schedule": self._text, "last": self._last, "next": due.isoformat()})

    async def _tick(self, due: datetime, *, past_due: bool) -> None:
        status = {"Last": self._last, "Next": due.isoformat(), "LastUpdated": self._last} if self._monitored else None
        information = {"IsPastDue": past_due, "Schedule": {"AdjustForDST": True}, "ScheduleStatus": status}
        try:
            await self._invoker.invoke(self._function, Datum(json.dumps(information), "json"), reason="timer")
        except Exception:
            log.exception("%s raised", self._function.name)


async def _sleep(stopping: asyncio.Event, pause: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), min(pause, 3600))
    except TimeoutError:
        return
