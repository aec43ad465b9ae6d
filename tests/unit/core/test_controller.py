"""The controller with small stages of the test's own, over the fakes, killed at every outside call."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from services.cloud.fakes import FakeCloud
from services.context import LoopContext, Stage
from services.controller import BUSY_SECONDS, Controller
from services.errors import UpstreamBusy
from services.names import state_blob
from services.outbox import Outbox
from services.state import Event, LoopState
from services.state_store import StateStore
from services.timeline import Timeline
from services.wake import Waker


class Killed(BaseException):
    """The process died here."""


class Told:
    """A dispatcher that remembers."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def dispatch(self, events: Sequence[Event]) -> None:
        self.ids += [e.id for e in events]


class Counting:
    """A stage that makes three steps, each with intent, act and record."""

    name = "training"

    def __init__(self) -> None:
        self.acts: set[str] = set()

    def step(self, context: LoopContext) -> float | None:
        done = int(context.state.reasons.get("done", "0"))
        if done == 3:
            return None
        context.state.reasons["intent"] = str(done + 1)
        context.save()
        self.acts.add(f"act-{done + 1}")
        context.state.reasons["done"] = str(done + 1)
        context.tell("training.started", f"step {done + 1}")
        context.save()
        return 0.0


class Waiting:
    """A stage that waits."""

    name = "rollout"

    def __init__(self, wait: float | None) -> None:
        self.wait = wait

    def step(self, context: LoopContext) -> float | None:
        return self.wait


class Failing:
    """A stage that fails after it changed the state in memory."""

    name = "dataset"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def step(self, context: LoopContext) -> float | None:
        context.state.reasons["half"] = "done"
        raise self.error


class Mended(Failing):
    """One that fails at times, and has nothing to say of itself."""

    fails = True

    def step(self, context: LoopContext) -> float | None:
        return super().step(context) if self.fails else None


class House:
    """A controller and its surroundings."""

    def __init__(self, *stages: Stage) -> None:
        self.fakes = FakeCloud()
        self.fakes.data.write("cards/images/a.jpg", b"x")
        self.told = Told()
        self.stages = stages
        self.timeline = Timeline(self.fakes.system)
        self.states = StateStore(self.fakes.system, self.fakes.clock)
        self.restart()

    def restart(self) -> None:
        """A new process: nothing in memory, leases run out."""
        self.fakes.on_call = lambda _: None
        self.fakes.system.break_leases()
        self.waker = Waker(self.fakes.wakes, self.fakes.clock, 1.0)
        outbox = Outbox(self.timeline, self.told)
        self.controller = Controller(self.fakes.cloud(), self.stages, self.waker, outbox, self.states, lambda: 0.5)

    def state(self) -> LoopState:
        return self.states.read("cards")

    def wakes(self) -> list[float]:
        return [delay for _, delay in self.fakes.wakes.sent]


def test_a_wake_goes_as_far_as_it_can() -> None:
    house = House(Counting())
    house.controller.wake("cards")
    assert house.state().reasons["done"] == "3"
    assert [e.data["reason"] for e in house.timeline.read("cards")] == ["step 3", "step 2", "step 1"]
    assert house.told.ids == ["cards-1", "cards-2", "cards-3"]
    assert house.state().outbox == []
    assert house.wakes() == []


def test_a_wake_for_nothing_makes_nothing() -> None:
    house = House(Counting())
    house.controller.wake("coins")
    assert list(house.fakes.system.blobs) == []


def test_a_second_wake_changes_nothing() -> None:
    house = House(Counting())
    house.controller.wake("cards")
    before = house.fakes.system.read(state_blob("cards"))
    house.controller.wake("cards")
    assert house.fakes.system.read(state_blob("cards")) == before


def test_waiting_asks_for_one_wake_however_many_woke_us() -> None:
    house = House(Waiting(30))
    for _ in range(5):
        house.controller.wake("cards")
    assert house.wakes() == [30]


def test_the_earliest_wish_counts() -> None:
    house = House(Waiting(600), Waiting(5), Waiting(None))
    house.controller.wake("cards")
    assert house.wakes() == [5]


def test_an_earlier_wish_than_the_wake_on_the_queue_gets_its_own() -> None:
    stage = Waiting(600)
    house = House(stage)
    house.controller.wake("cards")
    stage.wait = 10
    house.controller.wake("cards")
    assert house.wakes() == [600, 10]


def test_when_the_wake_is_spent_the_next_is_asked_for() -> None:
    house = House(Waiting(30))
    house.controller.wake("cards")
    house.fakes.clock.advance(31)
    house.controller.wake("cards")
    assert house.wakes() == [30, 30]


def test_a_busy_loop_is_looked_at_again() -> None:
    house = House(Counting())
    house.controller.wake("cards")
    with house.states.held("cards"):
        house.controller.wake("cards")
    assert house.wakes() == [BUSY_SECONDS]


def test_a_lost_lease_stops_the_wake_before_it_writes() -> None:
    house = House(Counting())
    house.controller.wake("cards")

    class Thief:
        name = "thief"

        def step(self, context: LoopContext) -> float | None:
            house.fakes.system.break_leases()
            context.state.reasons["thief"] = "was here"
            context.save()
            return None

    house.stages = (Thief(),)
    house.restart()
    house.controller.wake("cards")
    assert "thief" not in house.state().reasons
    assert house.wakes() == [BUSY_SECONDS]


@pytest.mark.parametrize(
    ("error", "retry", "reason"),
    [
        (UpstreamBusy("Azure ML is busy", retry_after=7), 7, "Azure ML is busy"),
        (RuntimeError("password=hunter2"), 30, "Unexpected RuntimeError; see the log"),
    ],
)
def test_a_failing_stage_is_told_once_and_stops_no_other(error: Exception, retry: float, reason: str) -> None:
    house = House(Failing(error), Counting())
    for _ in range(3):
        house.controller.wake("cards")
        house.fakes.clock.advance(60)
    state = house.state()
    assert state.reasons["done"] == "3"
    assert state.reasons["dataset"].startswith(reason)
    assert "half" not in state.reasons
    errors = [e for e in house.timeline.read("cards") if e.type == "visionloop.loop.error"]
    assert [(e.data["reason"], e.data["stage"]) for e in errors] == [(reason, "dataset")]
    assert set(house.wakes()) == {retry}
    assert "hunter2" not in json.dumps([e.model_dump(mode="json") for e in errors])


def test_why_a_stage_failed_goes_once_it_does_not_and_another_failure_is_told() -> None:
    stage = Mended(RuntimeError("no"))
    house = House(stage)
    for fails in (True, False, True, True):
        stage.fails = fails
        house.controller.wake("cards")
        assert ("dataset" in house.state().reasons) == fails
        house.fakes.clock.advance(60)
    assert [e.type for e in house.timeline.read("cards")] == ["visionloop.loop.error"] * 2


def calls_of(wake: Callable[[House], None]) -> list[str]:
    house, seen = House(Counting(), Waiting(30)), list[str]()
    house.fakes.on_call = seen.append
    wake(house)
    return seen


CALLS = calls_of(lambda house: house.controller.wake("cards"))


@pytest.mark.parametrize("line", range(len(CALLS)))
def test_killed_at_any_outside_call_the_next_wake_ends_the_same(line: int) -> None:
    stage = Counting()
    house = House(stage, Waiting(30))
    countdown = iter(range(line, -1, -1))

    def kill(_: str) -> None:
        if next(countdown, -1) == 0:
            raise Killed

    house.fakes.on_call = kill
    with pytest.raises(Killed):
        house.controller.wake("cards")
    house.restart()
    house.fakes.clock.advance(3600)
    house.controller.wake("cards")
    assert house.state().reasons["done"] == "3"
    assert stage.acts == {"act-1", "act-2", "act-3"}
    assert [e.id for e in house.timeline.read("cards")] == ["cards-3", "cards-2", "cards-1"]
    assert set(house.told.ids) == {"cards-1", "cards-2", "cards-3"}
    due = house.state().next_wake
    assert due == house.fakes.clock() + timedelta(seconds=30)
    assert house.wakes()[-1] == 30


def test_a_wake_that_comes_a_moment_early_is_the_one_that_was_asked_for() -> None:
    house = House(Waiting(30))
    house.controller.wake("cards")
    house.fakes.clock.advance(29.5)
    house.controller.wake("cards")
    assert house.wakes() == [30, 30]
