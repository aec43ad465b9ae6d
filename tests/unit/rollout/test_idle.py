"""An endpoint that nobody asks rests, wakes for a prediction, a rollout or the clock, and is never live unproved."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.cloud.fakes import FakeBlobStore
from services.cloud.ports.serving import DeploymentView
from services.control_stage import ControlStage
from services.decisions.idle import fall_asleep, wake_up
from services.errors import Upstream, Waking
from services.inference.activity import EVERY_SECONDS, RESTING_SECONDS, Activity
from services.inference.champion import Champions
from services.names import activity_blob
from services.rollout.idle import IdleStage
from services.rollout.stage import RolloutStage
from services.rollout_config import Endpoint
from services.state import Champion, Guard, LoopState, Repair, Resting
from tests.support.predictions import loop_state
from tests.support.rollouts import ENDPOINT, Broken, add, champion, measure_once, quality, settle, slots, traffic, world
from tests.support.stages import LOOP, NOW, World, killed_everywhere

HOUR = 3600.0


def idle(**endpoint: Any) -> World:
    """The model of run 1 is live, and may rest after two hours."""
    w = world(config={"endpoint": {"name": ENDPOINT, "idle_after_hours": 2, **endpoint}})
    w._stages = [ControlStage(), RolloutStage(), IdleStage()]
    settle(w)
    w.wakes(2)
    return w


def asleep(**endpoint: Any) -> World:
    w = idle(**endpoint)
    w.fake.clock.advance(2 * HOUR)
    w.wakes(8)
    return w


def predict(w: World) -> None:
    """What a process of the proxy writes."""
    w.fake.system.write(activity_blob(LOOP), json.dumps({"last": w.fake.clock().isoformat()}).encode())


def phase(w: World) -> str:
    return w.state.resting.phase if w.state.resting else "awake"


def test_without_predictions_the_slot_is_removed_and_the_champion_stays() -> None:
    w = asleep()
    assert phase(w) == "asleep"
    assert slots(w) == {}
    assert traffic(w) == {}
    assert champion(w).run == 1
    assert w.kinds[-1] == "endpoint.asleep"
    assert "No prediction was asked for yet, 2 hours are allowed" in w.events[-1].data["reason"]
    w.wakes(20, every=HOUR)
    assert phase(w) == "asleep"


def test_predictions_keep_it_up() -> None:
    w = idle()
    for _ in range(10):
        w.fake.clock.advance(1.5 * HOUR)
        predict(w)
        w.wakes(2)
    assert phase(w) == "awake"
    assert slots(w) == {"blue": "vl-nuts:1"}


def test_it_is_off_by_default() -> None:
    w = world()
    w._stages = [RolloutStage(), IdleStage()]
    settle(w)
    w.wakes(50, every=24 * HOUR)
    assert slots(w) == {"blue": "vl-nuts:1"}


def test_switching_it_on_counts_from_then() -> None:
    w = idle(idle_after_hours=None)
    w.wakes(3, every=100 * HOUR)
    config = w.state.config.model_copy(
        update={
            "config": w.state.config.config.model_copy(
                update={"endpoint": Endpoint(name=ENDPOINT, idle_after_hours=2.0)}
            )
        }
    )
    w.edit(lambda s: setattr(s, "config", config))
    w.wakes(3)
    assert phase(w) == "awake"
    w.fake.clock.advance(2 * HOUR)
    w.wakes(8)
    assert phase(w) == "asleep"


def test_a_prediction_wakes_it_by_slot_smoke_and_traffic_in_this_order() -> None:
    w = asleep()
    calls = len(w.fake.workspace.calls)
    predict(w)
    w.wakes(6)
    assert phase(w) == "awake"
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert traffic(w) == {"blue": 100}
    made = [c for c in w.fake.workspace.calls[calls:] if c.startswith("begin")]
    assert made == ["begin_deployment", "begin_traffic"]
    assert w.kinds[-1] == "endpoint.awake"
    w.fake.clock.advance(1.9 * HOUR)
    w.wakes(2)
    assert phase(w) == "awake"


def test_a_slot_that_does_not_answer_gets_no_traffic() -> None:
    w = asleep()
    w.fake.scorer.answer = Broken(quality(w), "blue", Upstream("502"), times=5)
    predict(w)
    w.wakes(6)
    assert traffic(w) == {}
    w.wakes(5)
    assert traffic(w) == {"blue": 100}


def test_a_deployment_that_fails_is_not_paid_for_again_and_again() -> None:
    w = asleep()
    w.fake.workspace.failing_slots.add("blue")
    before = w.fake.workspace.calls.count("begin_deployment")
    predict(w)
    w.wakes(60, every=31)
    assert w.fake.workspace.calls.count("begin_deployment") - before == 3
    assert w.kinds[-1] == "loop.error"
    w.fake.workspace.failing_slots.clear()
    w.fake.clock.advance(HOUR)
    w.wakes(8)
    assert phase(w) == "awake"


def test_a_candidate_wakes_it_as_the_champion_is_to_be_compared_with() -> None:
    w = asleep()
    quality(w).right["vl-nuts:2"] = 8  # a tie: were the champion not asked, it would go live
    add(w, 2)
    w.wakes(6)
    settle(w)
    assert champion(w).run == 1
    assert w.state.run(2).rollout == "rejected"
    assert "champion 0.8020" in w.events[-1].data["reason"]
    assert traffic(w) == {"blue": 100}


def test_the_clock_wakes_it() -> None:
    w = asleep(wake_at=["03:00"])  # it is shortly after two in the afternoon
    w.wakes(10, every=HOUR)
    assert phase(w) == "asleep"
    w.wakes(4, every=HOUR)
    w.wakes(5)
    assert phase(w) == "awake"
    assert "endpoint.wake_at says 03:00 UTC" in w.events[-1].data["reason"]


def test_scaling_leaves_one_machine_that_answers() -> None:
    w = asleep(idle="scale", instance_count=3)
    assert w.fake.workspace.machines == {(ENDPOINT, "blue"): 1}
    assert traffic(w) == {"blue": 100}
    predict(w)
    w.wakes(3)
    assert w.fake.workspace.machines == {(ENDPOINT, "blue"): 3}
    assert phase(w) == "awake"


def test_a_slot_that_somebody_removed_is_asleep_at_once() -> None:
    w = idle()
    w.fake.workspace.endpoints[ENDPOINT].slots.clear()
    w.fake.clock.advance(2 * HOUR)
    w.wakes(3)
    assert phase(w) == "asleep"


def test_a_slot_that_failed_while_waking_is_made_anew() -> None:
    w = asleep()
    predict(w)
    w.wakes(1)
    w.fake.workspace.endpoints[ENDPOINT].slots["blue"] = DeploymentView("blue", "failed", "vl-nuts:1", "no")
    w.wakes(10)
    assert phase(w) == "awake"


def three_failures() -> World:
    """Each deployment by which the slot is to wake fails; the third has just done so."""
    w = asleep()
    w.fake.workspace.failing_slots.add("blue")
    predict(w)
    for _ in range(20):
        w.wakes(1, every=31)
        if w.state.resting and w.state.resting.attempts == 3 and slots(w) == {}:
            return w
    raise AssertionError(w.state.resting)


def deployments(w: World) -> int:
    return w.fake.workspace.calls.count("begin_deployment")


def test_after_three_failures_the_next_attempt_waits_an_hour_from_the_last() -> None:
    w = three_failures()
    begun, tried = deployments(w), w.state.resting.tried if w.state.resting else None
    assert tried is not None
    w.wakes(3, every=31)
    assert deployments(w) == begun
    due = tried + timedelta(hours=1)
    assert w.events[-1].data["reason"] == f"Slot blue did not wake in 3 attempts; the next is made at {due:%H:%M} UTC"
    assert w.kinds.count("loop.error") == 1
    w.fake.workspace.failing_slots.clear()
    w.fake.clock.advance((due - w.fake.clock()).total_seconds() - 2)
    w.wake()
    assert deployments(w) == begun
    w.fake.clock.advance(2)
    w.wakes(6, every=31)
    assert phase(w) == "awake"


def test_after_three_failures_that_nobody_looked_at_for_hours_the_next_attempt_is_made_at_once() -> None:
    w = three_failures()
    begun = deployments(w)
    w.fake.workspace.failing_slots.clear()
    w.fake.clock.advance(5 * HOUR)
    w.wake()
    assert deployments(w) == begun + 1
    w.wakes(6, every=31)
    assert phase(w) == "awake"


def test_killed_at_any_outside_call_it_rests_and_wakes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    measure_once(monkeypatch)

    def course(w: World) -> None:
        if not any(k == "endpoint.asleep" for k in w.kinds):
            w.wakes(6)
        if phase(w) == "asleep" and "endpoint.awake" not in w.kinds:
            predict(w)
        w.wakes(8)

    def fresh() -> World:
        w = idle()
        w.fake.clock.advance(2 * HOUR)
        return w

    calm = fresh()
    for number, w in killed_everywhere(calm, fresh, course, most=40):
        assert (phase(w), traffic(w), slots(w), w.kinds) == (phase(calm), traffic(calm), slots(calm), calm.kinds), (
            number
        )
        assert all(sum(share.values()) in (0, 100) for share in w.fake.workspace.traffic_history)


@pytest.mark.parametrize(
    ("after", "acts", "again"), [(1.0, False, 3600.0), (1.9, False, 360.0), (2.0, True, None), (9.0, True, None)]
)
def test_the_hours_are_counted_from_the_last_prediction(after: float, acts: bool, again: float | None) -> None:
    policy, now = Endpoint(idle_after_hours=2), NOW + timedelta(hours=after)
    decision = fall_asleep(policy, NOW - timedelta(days=9), NOW, now)
    assert decision.act is acts
    assert decision.again_in == (pytest.approx(again) if again else None)


def test_without_a_clock_only_something_new_wakes() -> None:
    state = loop_state()
    state.config.config = state.config.config.model_copy(update={"endpoint": Endpoint(idle_after_hours=2)})
    resting = Resting(kind="remove", since=NOW)
    state.last_prediction = NOW
    decision = wake_up(state, resting, NOW + timedelta(days=30))
    assert (decision.act, decision.again_in) == (False, None)
    state.last_prediction = NOW + timedelta(seconds=1)
    assert wake_up(state, resting, NOW).act


class Proxy:
    """One process that answers predictions, as far as who is live goes."""

    def __init__(self, state: LoopState) -> None:
        self.state, self.now, self.woken = state, 0.0, list[str]()
        self.store = FakeBlobStore()
        self.activity = Activity(self.store.write, self.woken.append, lambda: self.now)
        self.champions = Champions(self.read, on_use=self.activity.note)

    def read(self, name: str, etag: str) -> tuple[int, str, bytes]:
        return 200, "", self.state.model_dump_json().encode()

    def ask(self) -> Champion:
        return asyncio.run(self.champions.champion("cards"))

    def writes(self) -> int:
        for thread in [t for t in threading.enumerate() if "_tell" in t.name]:
            thread.join(60)
        return self.store.calls.count("write")


def resting_loop(kind: str) -> LoopState:
    state = loop_state()
    state.resting = Resting(kind=kind, since=NOW, phase="asleep")
    return state


def test_a_prediction_of_a_loop_that_rests_is_answered_202_and_wakes_it() -> None:
    proxy = Proxy(resting_loop("remove"))
    with pytest.raises(Waking) as error:
        proxy.ask()
    assert (error.value.status, error.value.extra["retry_after"]) == (202, 60)
    assert "rested since 2026-01-01 12:00 UTC" in error.value.detail
    ends = time.monotonic() + 60
    while not proxy.woken and time.monotonic() < ends:
        time.sleep(0.01)
    assert proxy.woken == ["cards"]
    assert json.loads(proxy.store.read("activity/cards.json").data)["last"] > "2026"


def test_while_a_lost_slot_is_brought_back_predictions_are_answered_202() -> None:
    state = loop_state()
    state.guard = Guard(reason="Slot blue is gone", repair=Repair(trouble="gone", since=NOW))
    with pytest.raises(Waking, match="live model of cards is being brought back: Slot blue is gone; that takes min"):
        Proxy(state).ask()
    state.guard.repair = Repair(trouble="traffic", since=NOW)
    assert Proxy(state).ask().slot == "blue"


def test_a_slot_that_is_missed_is_noted_once_a_minute_and_the_loop_woken() -> None:
    proxy = Proxy(loop_state())
    for at in (0.0, 1.0, 59.0, 61.0):
        proxy.now = at
        proxy.activity.missed("cards")
        proxy.writes()
    assert proxy.store.calls.count("write") == 2
    assert proxy.woken == ["cards", "cards"]
    assert json.loads(proxy.store.read("missed/cards.json").data)["last"] > "2026"


def test_a_loop_that_is_scaled_down_answers() -> None:
    assert Proxy(resting_loop("scale")).ask().slot == "blue"


@pytest.mark.parametrize(("state", "every"), [(loop_state(), EVERY_SECONDS), (resting_loop("scale"), RESTING_SECONDS)])
def test_many_predictions_make_few_writes(state: LoopState, every: float) -> None:
    proxy = Proxy(state)
    for _ in range(100):
        proxy.ask()
    proxy.now = every - 1
    proxy.ask()
    assert proxy.writes() == 1
    proxy.now = every + 1
    proxy.ask()
    assert proxy.writes() == 2


def test_a_write_that_fails_is_made_again_and_hurts_nobody() -> None:
    proxy, tries = Proxy(loop_state()), list[str]()

    def refuse(name: str, data: bytes) -> None:
        tries.append(name)
        raise Upstream("storage is away")

    proxy.activity._write = refuse
    for at in (0.0, 1.0, 14.0, 16.0, 17.0):
        proxy.now = at
        proxy.ask()
        proxy.writes()
    assert len(tries) == 2, "again after a while, not with every request"


def anothers(w: World, model: str = "cats:7", **share: int) -> None:
    """Somebody deploys a model of their own by hand, to our slot or with traffic of its own."""
    there = w.fake.workspace.endpoints[ENDPOINT]
    slot = "prod" if share else "blue"
    there.slots[slot] = DeploymentView(slot, "succeeded", model)
    there.view = replace(there.view, traffic=share or there.view.traffic)


def test_an_endpoint_of_which_somebody_else_uses_a_part_does_not_rest() -> None:
    w = idle()
    anothers(w, blue=30, prod=70)
    w.fake.clock.advance(2 * HOUR)
    w.wakes(8)
    assert (phase(w), traffic(w)) == ("awake", {"blue": 30, "prod": 70})
    assert "endpoint.asleep" not in w.kinds


def test_what_somebody_else_put_into_the_slot_is_not_deleted_for_a_rest() -> None:
    w = idle()
    anothers(w)
    w.fake.clock.advance(2 * HOUR)
    w.wakes(8)
    assert (phase(w), slots(w), traffic(w)) == ("awake", {"blue": "cats:7"}, {"blue": 100})


def test_what_somebody_else_put_into_the_slot_gets_no_traffic_by_waking() -> None:
    w = asleep()
    anothers(w)
    predict(w)
    w.wakes(6)
    assert (phase(w), slots(w), traffic(w)) == ("awake", {"blue": "cats:7"}, {})
    assert w.kinds[-1] != "endpoint.awake"
