from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from emulator.functions_host.bindings import Function, Invoker
from emulator.functions_host.timers import Schedule, Timer
from tests.support.timing import TooSlow, tried_again, within

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


@tried_again
def test_a_setting_gives_the_schedule_and_ticks_are_on_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    monkeypatch.setenv("SWEEP", "* * * * * *")
    with within(2.9):
        run_for(2.3, timer(tmp_path, told, "%SWEEP%"))
    if len(told) < 2:
        raise TooSlow(f"{len(told)} ticks in 2.3 s")
    assert len(told) in {2, 3}
    assert not any(told)


def closely(folder: Path, taken: list[func.TimerRequest], slow: float, **binding: object) -> Timer:
    """A timer of every second whose function takes long."""

    async def sweep(timer: func.TimerRequest) -> None:
        taken.append(timer)
        await asyncio.sleep(slow)

    told = {"type": "timerTrigger", "name": "timer", "schedule": "* * * * * *", **binding}
    return Timer(Function("sweep", sweep, told, True), Invoker(60), folder)


def test_times_that_follow_closely_are_not_caught_up(tmp_path: Path) -> None:
    taken: list[func.TimerRequest] = []
    remember(tmp_path, "* * * * * *")
    run_for(0.01, closely(tmp_path, taken, 0))
    assert not any(timer.past_due for timer in taken)
    assert Schedule("0 * * * * *").is_monitored(NOON)
    assert not Schedule("*/59 * * * * *").is_monitored(NOON)


def test_a_long_run_is_followed_by_one_at_once_that_is_not_past_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping, told, slept = asyncio.Event(), list[bool](), set[int]()

    async def sweep(timer: func.TimerRequest) -> None:
        told.append(timer.past_due)
        await asyncio.sleep(1.1 if len(told) == 1 else 0)
        if len(told) == 2:
            stopping.set()

    async def sleep(stopping: asyncio.Event, pause: float) -> None:
        slept.add(len(told))
        await asyncio.sleep(pause)

    monkeypatch.setattr("emulator.functions_host.timers._sleep", sleep)
    binding = {"type": "timerTrigger", "name": "timer", "schedule": "* * * * * *"}
    asyncio.run(
        asyncio.wait_for(Timer(Function("sweep", sweep, binding, True), Invoker(60), tmp_path).run(stopping), 60)
    )
    assert (told, slept) == ([False, False], {0})


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"schedule": "0 0 0 1 1 *", "next": 3}'])
def test_a_file_that_was_cut_off_is_as_none(tmp_path: Path, text: str) -> None:
    told: list[bool] = []
    (tmp_path / "sweep.json").write_text(text)
    run_for(0.05, timer(tmp_path, told))
    assert told == []
    assert set(json.loads((tmp_path / "sweep.json").read_text())) == {"schedule", "last", "next"}


def test_a_timer_may_run_at_the_start(tmp_path: Path) -> None:
    taken: list[func.TimerRequest] = []
    run_for(0.05, closely(tmp_path, taken, 0, schedule="0 0 0 1 1 *", runOnStartup=True))
    assert [timer.past_due for timer in taken] == [False]
    told: Any = taken[0]
    assert str(told.schedule_status["Last"]).startswith("0001-01-01")
