"""A person's word, from the request over the kept command to its effect; repeated, at any step, against death."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.commands import Commands
from services.control_stage import ControlStage
from services.decisions.orders import answer
from services.errors import BadRequest, Conflict, NotFound, Upstream
from services.rollout.stage import RolloutStage
from services.rollout_controls import RolloutControls
from services.wake import Waker
from tests.support.rollouts import Broken, add, champion, measure_once, quality, settle, slots, traffic, world
from tests.support.stages import LOOP, World, killed_everywhere
from tests.unit.rollout.test_canary import PLAN, at, in_step, seen, step, until

WORDS = ["promote", "rollback", "hold", "resume"]


def order(w: World, word: str, run: int | None = None, **more: Any) -> dict[str, Any]:
    waker = Waker(w.fake.wakes, w.fake.clock, 1)
    controls = RolloutControls(w.states, Commands(w.fake.system), waker, w.fake.clock)
    body = {"by": "Ada", "why": "I say so", **({"run": run} if run is not None else {}), **more}
    return controls.order(LOOP, word, json.dumps(body).encode())


def begun(**rollout: Any) -> World:
    """The model of run 1 is live, run 2 waits for its rollout."""
    w = world(config={"rollout": {**PLAN, **rollout}})
    w._stages = [ControlStage(), RolloutStage()]
    settle(w)
    add(w, 2)
    return w


def told(w: World) -> list[str]:
    return [str(e.data["reason"]) for e in w.events]


def test_a_rollback_in_the_window_brings_the_old_slot_back_at_once() -> None:
    w = begun()
    until(w, in_step("keep"))
    deployed = w.fake.workspace.calls.count("begin_deployment")
    assert order(w, "rollback")["effect"] == "revert"
    settle(w)
    assert champion(w).run == 1
    assert traffic(w) == {"blue": 100}
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert w.fake.workspace.calls.count("begin_deployment") == deployed
    assert w.kinds[-2:] == ["rollout.ordered", "rollout.rolled_back"]
    assert told(w)[-1].startswith("vl-nuts:1 is live again: ")
    assert "asked for by Ada: I say so" in told(w)[-1]


def test_a_rollback_after_the_window_deploys_the_model_before_anew() -> None:
    w = begun(rollback_window_minutes=0)
    settle(w, most=120)
    assert slots(w) == {"green": "vl-nuts:2"}
    w.fake.scorer.answer = Broken(quality(w), "green", Upstream("502"))  # why they go back
    found = order(w, "rollback", run=2)
    assert (found["effect"], found["run"]) == ("restore", 1)
    settle_order(w)
    assert champion(w).run == 1
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert w.fake.workspace.traffic_history[-1] == {"blue": 100}  # without a canary
    assert "the model of run 1 is to be live again by Ada: I say so" in told(w)[-1]
    assert order(w, "rollback", run=2)["effect"] == "nothing"  # repeated
    assert w.state.run(2).rollout == "rolled_back"


def test_a_rollback_never_brings_back_what_was_rolled_back_before() -> None:
    w = begun(rollback_window_minutes=0)
    settle(w, most=150)
    order(w, "rollback")
    settle_order(w)
    add(w, 3)
    settle(w, most=150)
    assert champion(w).run == 3
    assert order(w, "rollback")["run"] == 1
    settle_order(w)
    assert champion(w).run == 1


def settle_order(w: World) -> None:
    w.wakes(2)
    settle(w, most=120)


def test_a_rollback_before_anything_is_live_is_refused() -> None:
    w = begun()
    settle(w, most=150)
    w.edit(lambda s: setattr(s, "champion", None))
    with pytest.raises(Conflict, match="No model is live"):
        order(w, "rollback")


def test_a_first_model_has_none_before_it() -> None:
    w = world()
    settle(w)
    with pytest.raises(Conflict, match="No model was live before that of run 1"):
        order(w, "rollback")


@pytest.mark.parametrize("name", ["deploy", "evaluate", "canary"])
def test_a_rollback_of_a_rollout_under_way_ends_it(name: str) -> None:
    w = begun()
    if name == "evaluate":
        w.fake.scorer.answer = Broken(quality(w), "green", Upstream("502"), times=6, after=1)
    until(w, in_step(name))
    assert order(w, "rollback")["effect"] == "cancel"
    settle(w)
    assert champion(w).run == 1
    assert traffic(w) == {"blue": 100}
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert w.kinds[-1] == "rollout.rolled_back"


def test_a_promotion_skips_the_rest_of_the_canary() -> None:
    w = begun()
    until(w, at(10))
    assert order(w, "promote")["effect"] == "advance"
    w.wakes(2)
    assert champion(w).run == 2
    assert w.fake.workspace.traffic_history[-2:] == [{"green": 10, "blue": 90}, {"green": 100}]
    assert order(w, "promote", run=2)["effect"] == "nothing"


def test_a_person_may_promote_what_was_found_worse_and_the_timeline_says_who() -> None:
    w = begun()
    quality(w).right["vl-nuts:2"] = 3
    settle(w, most=120)
    assert w.state.run(2).rollout == "rejected"
    with pytest.raises(Conflict, match="name the run"):
        order(w, "promote")
    assert order(w, "promote", run=2)["effect"] == "begin"
    settle_order(w)
    assert w.kinds[-1] == "rollout.promoted"
    assert "challenger 0.3069, champion 0.8020" in told(w)[-1]
    assert "promote was asked for by Ada: I say so" in told(w)[-1]
    until(w, in_step("keep"), 3) if step(w) == "keep" else None
    assert champion(w).run == 2


def test_a_slot_that_does_not_answer_goes_live_for_nobody() -> None:
    w = begun()
    w.fake.scorer.answer = Broken(quality(w), "green", Upstream("502"))
    order(w, "promote", run=2)
    settle(w, most=150)
    assert champion(w).run == 1
    assert w.fake.workspace.traffic_history == [{"blue": 100}]


def test_a_hold_keeps_the_traffic_where_it_is_and_a_breach_still_rolls_back() -> None:
    w = begun()
    until(w, at(10))
    order(w, "hold")
    assert order(w, "hold")["effect"] == "hold"  # kept, not carried out yet
    w.wakes(100, every=3600)
    assert traffic(w) == {"green": 10, "blue": 90}
    assert order(w, "hold")["effect"] == "nothing"
    seen(w, green=(50, 25, 50), blue=(500, 0, 50))
    settle(w)
    assert w.kinds[-1] == "rollout.rolled_back"
    assert traffic(w) == {"blue": 100}


def test_after_a_resume_the_rollout_goes_on() -> None:
    w = begun()
    until(w, at(10))
    order(w, "hold")
    w.wakes(100, every=3600)
    order(w, "resume")
    settle(w, most=150)
    assert champion(w).run == 2


def test_a_hold_in_the_window_keeps_the_old_slot() -> None:
    w = begun()
    until(w, in_step("keep"))
    order(w, "hold")
    w.wakes(50, every=3600)
    assert slots(w) == {"blue": "vl-nuts:1", "green": "vl-nuts:2"}
    order(w, "rollback")
    settle(w)
    assert champion(w).run == 1


def test_a_hold_before_the_traffic_lets_the_evaluation_go_on_and_moves_nothing() -> None:
    w = begun(canary=[])
    until(w, in_step("deploy"))
    order(w, "hold")
    w.wakes(60, every=600)
    assert step(w) == "shift"
    assert traffic(w) == {"blue": 100}
    order(w, "resume")
    w.wakes(3)
    assert champion(w).run == 2


@pytest.mark.parametrize("word", ["hold", "resume"])
def test_without_a_rollout_nothing_can_be_held(word: str) -> None:
    w = world()
    settle(w)
    with pytest.raises(Conflict, match="No rollout is under way"):
        order(w, word)


def test_another_word_and_a_wrong_body_are_refused() -> None:
    w = begun()
    with pytest.raises(NotFound, match="no word on a rollout: promote, rollback, hold, resume"):
        order(w, "stop")
    with pytest.raises(BadRequest, match="run"):
        order(w, "promote", run="two")  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="Run 9 has no model"):
        order(w, "promote", run=9)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_has_an_answer_at_every_step(word: Any) -> None:
    w = begun()
    steps = set()
    for _ in range(150):
        w.wakes()
        found = answer(word, w.state)
        assert found.says
        steps.add(step(w))
        again = answer(word, w.state)
        assert again == found
    assert {"deploy", "canary", "keep", "done"} <= steps


@pytest.mark.parametrize("word", ["promote", "rollback"])
def test_killed_at_any_outside_call_a_word_has_its_effect_once(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    measure_once(monkeypatch)

    def fresh() -> World:
        w = begun(rollback_window_minutes=0)
        until(w, at(10))
        order(w, word, run=2)
        return w

    calm = fresh()
    for number, w in killed_everywhere(calm, fresh, settle, most=30):
        assert (champion(w).run, traffic(w), slots(w), w.kinds) == (
            champion(calm).run,
            traffic(calm),
            slots(calm),
            calm.kinds,
        ), number
