"""When an endpoint rests and wakes: at the second, one before and one after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.idle import fall_asleep, wake_up
from services.rollout_config import Endpoint
from services.state import LoopState, ModelRef, Order, Resting, RolloutOrder
from tests.support.stages import NOW, run, state

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
TWO_HOURS = Endpoint(idle_after_hours=2)
MODEL = ModelRef(name="vl-nuts", version="2")


def at(clock: str, day: int = 1) -> datetime:
    return datetime.fromisoformat(f"2026-01-{day:02} {clock}").replace(tzinfo=UTC)


def test_without_hours_it_is_always_up() -> None:
    found = fall_asleep(Endpoint(), NOW - 9999 * HOUR, None, NOW)
    assert (found.act, found.again_in) == (False, None)
    assert found.reason == "endpoint.idle_after_hours is not set: the endpoint is always up"


@pytest.mark.parametrize(
    ("awake", "asked", "now", "acts", "again", "said"),
    [
        ("08:00", "10:00", "11:59:59", False, 1, "Without a prediction the endpoint rests at 2026-01-01 12:00 UTC"),
        ("08:00", "10:00", "11:59:59.5", False, 1, "Without a prediction the endpoint rests at 2026-01-01 12:00 UTC"),
        ("08:00", "10:00", "11:59", False, 60, "Without a prediction the endpoint rests at 2026-01-01 12:00 UTC"),
        ("08:00", "10:00", "10:30", False, 3600, "Without a prediction the endpoint rests at 2026-01-01 12:00 UTC"),
        ("10:00", "08:00", "11:59", False, 60, "Without a prediction the endpoint rests at 2026-01-01 12:00 UTC"),
        ("10:00", None, "11:59", False, 60, "Without a prediction the endpoint rests at 2026-01-01 12:00 UTC"),
        (
            "08:00",
            "10:00",
            "12:00",
            True,
            None,
            "No prediction was asked for since 2026-01-01 10:00 UTC, 2 hours are allowed",
        ),
        (
            "10:00",
            "08:00",
            "12:00",
            True,
            None,
            "No prediction was asked for since 2026-01-01 08:00 UTC, 2 hours are allowed",
        ),
        ("10:00", None, "12:00", True, None, "No prediction was asked for yet, 2 hours are allowed"),
    ],
)
def test_it_rests_when_the_hours_are_over_since_it_woke_and_was_asked(
    awake: str, asked: str | None, now: str, acts: bool, again: float | None, said: str
) -> None:
    found = fall_asleep(TWO_HOURS, at(awake), at(asked) if asked else None, at(now))
    assert (found.act, found.again_in, found.reason) == (acts, again, said)


def resting(endpoint: dict[str, Any] | None = None, **changes: Any) -> LoopState:
    made = state(config={"endpoint": {"idle_after_hours": 2, **(endpoint or {})}}, runs=changes.pop("runs", ()))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


ORDERED = RolloutOrder(kind="promote", run=2, order=Order(at=NOW))
WAITING = [run(1), run(2, rollout="pending", model=MODEL)]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (resting({"idle_after_hours": None}), "endpoint.idle_after_hours is no longer set"),
        (resting(last_prediction=NOW + SECOND), "A prediction was asked for at 2026-01-01 12:00 UTC"),
        (resting(rollout_next=ORDERED), "A rollout waits: the champion is to be compared with"),
        (resting(rollout_next=ORDERED, pause=Order(at=NOW)), "A rollout waits: the champion is to be compared with"),
        (resting(runs=WAITING), "A rollout waits: the champion is to be compared with"),
    ],
    ids=["switched off", "prediction", "order", "order of a paused loop", "candidate"],
)
def test_it_wakes_for_what_needs_it(made: LoopState, said: str) -> None:
    found = wake_up(made, Resting(kind="remove", since=NOW), NOW)
    assert (found.act, found.reason) == (True, said)


@pytest.mark.parametrize(
    "made",
    [
        resting(),
        resting(last_prediction=NOW),
        resting(runs=[run(1, rollout="promoted", model=MODEL)]),
        resting(runs=WAITING, pause=Order(at=NOW)),
    ],
    ids=["nothing", "a prediction before", "no candidate", "a candidate of a paused loop"],
)
def test_it_rests_on_where_nothing_needs_it(made: LoopState) -> None:
    found = wake_up(made, Resting(kind="remove", since=NOW), NOW + 9999 * HOUR)
    assert (found.act, found.again_in, found.reason) == (False, None, "It wakes with the next prediction")


SOONEST = "It wakes with the next prediction, or at 2026-01-02 07:30 UTC"


@pytest.mark.parametrize(
    ("wake_at", "now", "acts", "again", "said"),
    [
        (["07:30"], at("07:29", 2), False, 60, SOONEST),
        (["07:30"], at("07:29:59.9", 2), False, 1, SOONEST),
        (["07:30"], at("07:30", 2), True, None, "endpoint.wake_at says 07:30 UTC"),
        (["07:30"], at("09:00", 3), True, None, "endpoint.wake_at says 07:30 UTC"),
        (["07:30"], at("13:00"), False, 3600, SOONEST),
        (
            ["22:00", "07:30"],
            at("21:59:30"),
            False,
            30,
            "It wakes with the next prediction, or at 2026-01-01 22:00 UTC",
        ),
        (["12:00"], at("11:59", 2), False, 60, "It wakes with the next prediction, or at 2026-01-02 12:00 UTC"),
        (["12:01"], at("12:00:30"), False, 30, "It wakes with the next prediction, or at 2026-01-01 12:01 UTC"),
    ],
)
def test_the_clock_wakes_it_at_the_first_of_its_times_after_it_fell_asleep(
    wake_at: list[str], now: datetime, acts: bool, again: float | None, said: str
) -> None:
    found = wake_up(resting({"wake_at": wake_at}), Resting(kind="remove", since=NOW), now)
    assert (found.act, found.reason) == (acts, said)
    assert found.again_in == (pytest.approx(again) if again else None)


def test_seconds_of_when_it_fell_asleep_do_not_move_the_clock() -> None:
    since = at("07:29:59.25")
    made = resting({"wake_at": ["07:30"]})
    assert wake_up(made, Resting(kind="remove", since=since), at("07:29:59.5")).again_in == 1
    assert wake_up(made, Resting(kind="remove", since=since), at("07:30")).act


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 3 * 86400))
def test_within_a_day_the_clock_wakes_it_once(hour: int, minute: int, slept: int) -> None:
    since = NOW + timedelta(seconds=slept)
    made = resting({"wake_at": [f"{hour:02}:{minute:02}"]})
    assert not wake_up(made, Resting(kind="scale", since=since), since).act
    assert wake_up(made, Resting(kind="scale", since=since), since + 24 * HOUR).act
