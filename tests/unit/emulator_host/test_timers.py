from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import azure.functions as func
import pytest

from emulator.functions_host.bindings import Function, Invoker
from emulator.functions_host.timers import Schedule, Timer

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)  # a Saturday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/30 * * * * *", "2026-11-21T12:00:30"),
        ("0 */5 * * * *", "2026-11-21T12:05:00"),
        ("0 30 9 * * 1-5", "2026-11-23T09:30:00"),
        ("0 30 9 * * Mon-Fri", "2026-11-23T09:30:00"),
        ("0 0 0 1 Jan *", "2027-01-01T00:00:00"),
        ("5,10 0 12 * * *", "2026-11-21T12:00:05"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00"),
    ],
)
def test_the_next_time(text: str, expected: str) -> None:
    assert Schedule(text).after(NOON) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["* * * * *", "60 * * * * *", "0 0 0 0 * *", "x * * * * *", "5-1 * * * * *"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Schedule(text)


def run_for(seconds: float, timer: Timer) -> None:
    async def running() -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, stopping.set)
        await timer.run(stopping)

    asyncio.run(running())


def timer(folder: Path, told: list[bool], schedule: str = "0 0 0 1 1 *") -> Timer:
    def sweep(timer: func.TimerRequest) -> None:
        told.append(timer.past_due)

    binding = {"type": "timerTrigger", "name": "timer", "schedule": schedule}
    return Timer(Function("sweep", sweep, binding, False), Invoker(5), folder)


def remember(folder: Path, schedule: str) -> None:
    missed = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    (folder / "sweep.json").write_text(json.dumps({"schedule": schedule, "last": None, "next": missed}))


def test_a_time_missed_while_the_host_was_down_runs_once_as_past_due(tmp_path: Path) -> None:
    told: list[bool] = []
    remember(tmp_path, "0 0 0 1 1 *")
    run_for(0.2, timer(tmp_path, told))
    run_for(0.2, timer(tmp_path, told))
    assert told == [True]


def test_a_changed_schedule_forgets_the_time_of_the_old_one(tmp_path: Path) -> None:
    told: list[bool] = []
    remember(tmp_path, "0 0 0 2 2 *")
    run_for(0.2, timer(tmp_path, told))
    assert told == []


def test_a_setting_gives_the_schedule_and_ticks_are_on_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    monkeypatch.setenv("SWEEP", "* * * * * *")
    run_for(2.3, timer(tmp_path, told, "%SWEEP%"))
    assert len(told) in {2, 3}
    assert not any(told)
