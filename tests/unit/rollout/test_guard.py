"""What somebody does to the live slot outside of Visionloop is told, and what is gone is brought back, unproved never."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from services.cloud.ports.serving import DeploymentView, EndpointView
from services.commands import Asked, Commands, command
from services.control_stage import ControlStage
from services.errors import Upstream, UpstreamRefused
from services.names import activity_blob, missed_blob
from services.rollout.guard import GuardStage
from services.rollout.idle import IdleStage
from services.rollout.stage import RolloutStage
from services.state import Order, RolloutOrder
from tests.support.rollouts import (
    ENDPOINT,
    Broken,
    add,
    candidate,
    champion,
    measure_once,
    quality,
    settle,
    slots,
    traffic,
    world,
)
from tests.support.stages import LOOP, World, killed_everywhere

QUARTER, HOUR = 900.0, 3600.0


def guarded(**endpoint: Any) -> World:
    """The model of run 1 is live on blue, and was just looked at."""
    w = world(config={"endpoint": {"name": ENDPOINT, **endpoint}})
    w._stages = [ControlStage(), RolloutStage(), GuardStage(), IdleStage()]
    settle(w)
    w.wakes(2)
    return w


def remove_slot(w: World) -> None:
    there = w.fake.workspace.endpoints[ENDPOINT]
    there.slots.clear()
    there.view = replace(there.view, traffic={})


def remove_endpoint(w: World) -> None:
    del w.fake.workspace.endpoints[ENDPOINT]


def fail_slot(w: World) -> None:
    """It neither answers nor is it taken away."""
    broken = Broken(quality(w), "blue", Upstream("503"))
    w.fake.workspace.endpoints[ENDPOINT].slots["blue"] = DeploymentView("blue", "failed", "vl-nuts:1", "no quota")

    def answer(slot: str, image: bytes) -> dict[str, object]:
        sick = w.fake.workspace.endpoints[ENDPOINT].slots[slot].state == "failed"
        return broken(slot, image) if sick else broken.inner(slot, image)

    w.fake.scorer.answer = answer


def move_traffic(w: World, share: dict[str, int]) -> None:
    there = w.fake.workspace.endpoints[ENDPOINT]
    there.slots["prod"] = DeploymentView("prod", "succeeded", "cats:7")
    there.view = replace(there.view, traffic=share)


def later(w: World, wakes: int = 8) -> None:
    w.fake.clock.advance(QUARTER)
    w.wakes(wakes)


def told(w: World) -> list[str]:
    return [str(e.data["reason"]) for e in w.events if e.type.startswith("visionloop.endpoint.")]


def begun(w: World, since: int) -> list[str]:
    return [call for call in w.fake.workspace.calls[since:] if call.startswith("begin")]


@pytest.mark.parametrize(
    ("harm", "made"),
    [
        (remove_slot, ["begin_deployment", "begin_traffic"]),
        (remove_endpoint, ["begin_endpoint", "begin_deployment", "begin_traffic"]),
        (fail_slot, ["begin_traffic", "begin_delete_deployment", "begin_deployment", "begin_traffic"]),
    ],
)
def test_what_is_gone_or_failed_is_told_and_the_same_model_brought_back(
    harm: Callable[[World], None], made: list[str]
) -> None:
    w = guarded()
    before, since = champion(w), len(w.fake.workspace.calls)
    harm(w)
    later(w)
    assert (traffic(w), slots(w)) == ({"blue": 100}, {"blue": "vl-nuts:1"})
    assert champion(w) == before
    assert begun(w, since) == made
    assert w.kinds[-2:] == ["endpoint.lost", "endpoint.restored"]
    assert told(w)[-2].endswith(": the same model is brought back")
    assert told(w)[-1].startswith("vl-nuts:1 in slot blue of nuts-endpoint was brought back after 0.")
    assert (w.state.guard.trouble, w.state.guard.repair, w.state.reasons.get("guard")) == (None, None, None)


def test_while_all_is_well_azure_is_asked_every_quarter_of_an_hour_and_nobody_is_told() -> None:
    w = guarded()
    calls, kinds = len(w.fake.workspace.calls), w.kinds
    w.wakes(20, every=60)
    assert w.fake.workspace.calls[calls:] == ["endpoint", "deployment"]
    assert w.kinds == kinds


def test_a_slot_that_the_proxy_missed_is_looked_at_within_a_minute() -> None:
    w = guarded()
    remove_slot(w)
    w.fake.system.write(missed_blob(LOOP), json.dumps({"last": w.fake.clock().isoformat()}).encode())
    w.wakes(8)
    assert traffic(w) == {"blue": 100}


def test_a_slot_that_does_not_answer_is_not_called_well_and_gets_no_traffic() -> None:
    w = guarded()
    remove_slot(w)
    w.fake.scorer.answer = Broken(quality(w), "blue", Upstream("502"), times=5)
    later(w, 5)
    assert traffic(w) == {}
    assert "endpoint.restored" not in w.kinds
    w.wakes(5)
    assert traffic(w) == {"blue": 100}


def test_a_slot_that_is_said_to_have_failed_but_answers_is_left() -> None:
    w = guarded()
    w.fake.workspace.endpoints[ENDPOINT].slots["blue"] = DeploymentView("blue", "failed", "vl-nuts:1", "no quota")
    since = len(w.fake.workspace.calls)
    later(w)
    assert begun(w, since) == []
    assert "endpoint.lost" not in w.kinds


def test_traffic_that_was_moved_by_hand_is_told_once_and_stays() -> None:
    w = guarded()
    move_traffic(w, {"blue": 30, "prod": 70})
    for _ in range(5):
        later(w, 2)
    assert traffic(w) == {"blue": 30, "prod": 70}
    [said] = told(w)
    assert said.startswith("The traffic of nuts-endpoint goes to blue 30 %, prod 70 %, not to blue alone; ")
    assert said.endswith(": what was moved by hand stays; endpoint.repair: all gives it back")
    move_traffic(w, {"blue": 100})
    later(w, 2)
    assert told(w)[-1] == "vl-nuts:1 in slot blue of nuts-endpoint is as it was left again after 1.3 hours"


def test_traffic_is_given_back_where_loop_yaml_says_so_and_a_person_who_insists_wins() -> None:
    w = guarded(repair="all")
    share = {"prod": 100}
    for _ in range(40):
        move_traffic(w, share)
        later(w, 4)
    assert sum(moved == {"blue": 100} for moved in w.fake.workspace.traffic_history) == 1 + 3
    assert traffic(w) == share
    assert "the next try is at" in told(w)[-1]


def test_the_slot_comes_back_beside_somebody_elses_that_has_the_traffic() -> None:
    w = guarded()
    move_traffic(w, {"prod": 100})
    del w.fake.workspace.endpoints[ENDPOINT].slots["blue"]
    later(w)
    assert (traffic(w), slots(w)["blue"]) == ({"prod": 100}, "vl-nuts:1")
    assert w.kinds[-2:] == ["endpoint.lost", "endpoint.lost"]
    assert w.state.guard.trouble == "traffic"


@pytest.mark.parametrize("harm", ["owner", "model"])
def test_what_somebody_else_put_in_its_place_is_left_alone(harm: str) -> None:
    w = guarded(repair="all")
    there = w.fake.workspace.endpoints[ENDPOINT]
    if harm == "owner":
        there.view = replace(there.view, owner="bolts")
    there.slots["blue"] = DeploymentView("blue", "succeeded", "cats:7")
    since = len(w.fake.workspace.calls)
    later(w)
    assert begun(w, since) == []
    assert w.state.guard.trouble == "taken"
    assert told(w)[-1].endswith(": it is left alone")


def test_somebody_who_takes_the_place_during_the_repair_keeps_it() -> None:
    w = guarded()
    remove_slot(w)
    later(w, 1)
    assert w.state.guard.repair is not None
    w.fake.workspace.endpoints[ENDPOINT].slots["blue"] = DeploymentView("blue", "succeeded", "cats:7")
    w.wakes(5)
    assert (slots(w), traffic(w), w.state.guard.trouble) == ({"blue": "cats:7"}, {}, "taken")
    assert w.state.guard.repair is None


def test_a_paused_loop_and_a_removed_one_stay_as_they_were_left() -> None:
    w = guarded()
    w.edit(lambda s: setattr(s, "pause", Order(by="Ada", at=w.fake.clock())))
    remove_endpoint(w)
    later(w)
    assert w.fake.workspace.endpoints == {}
    assert told(w)[-1].endswith("The loop is paused by Ada: it is brought back once the loop goes on")
    w.edit(lambda s: setattr(s, "pause", None))
    for blob in list(w.fake.data.list(f"{LOOP}/")):
        w.fake.data.delete(blob.name)
    w.wakes(3)
    assert w.fake.workspace.endpoints == {}
    w.fake.data.write(f"{LOOP}/images/0.jpg", b"image-0")
    w.wakes(8)
    assert traffic(w) == {"blue": 100}


def test_deployments_that_fail_end_and_are_tried_again_later_and_later() -> None:
    w = guarded()
    remove_slot(w)
    w.fake.workspace.failing_slots.add("blue")
    w.fake.scorer.answer = Broken(quality(w), "blue", Upstream("503"))
    before = w.fake.workspace.calls.count("begin_deployment")
    w.fake.clock.advance(QUARTER)
    w.wakes(300, every=61)
    assert w.fake.workspace.calls.count("begin_deployment") - before == 3 * 3
    assert any("blue of nuts-endpoint did not come back in 3 attempts: it was" in said for said in told(w))
    assert w.state.guard.repair is None
    w.fake.workspace.failing_slots.clear()
    w.fake.scorer.answer = w.fake.scorer.answer.inner
    w.fake.clock.advance(24 * HOUR)
    w.wakes(8)
    assert traffic(w) == {"blue": 100}


@pytest.mark.parametrize(("harm", "call"), [(remove_slot, "begin_deployment"), (remove_endpoint, "begin_endpoint")])
def test_why_azure_does_not_take_it_is_the_reason_that_is_told(harm: Callable[[World], None], call: str) -> None:
    w, asked = guarded(), list[object]()
    harm(w)

    def refuse(*arguments: object) -> None:
        asked.append(arguments)
        raise UpstreamRefused("There is no quota for Standard_DS3_v2")

    setattr(w.fake.workspace, call, refuse)
    later(w, 12)
    assert "did not come back in 3 attempts: There is no quota for Standard_DS3_v2: it was brought back" in told(w)[-1]
    assert len(asked) == 3


def test_a_repair_that_lasts_too_long_is_given_up() -> None:
    w = guarded()
    remove_slot(w)
    later(w, 1)
    creating = DeploymentView("blue", "creating", "vl-nuts:1")
    w.fake.workspace.deployment = lambda endpoint, slot: creating  # type: ignore[method-assign]
    w.fake.clock.advance(2 * HOUR)
    w.wakes(1)
    assert "did not come back in 120 minutes" in told(w)[-1]
    assert w.state.guard.repair is None


def test_a_slot_that_came_back_while_nobody_looked_for_hours_is_well() -> None:
    w = guarded()
    remove_slot(w)
    later(w, 1)
    w.fake.clock.advance(2 * HOUR)
    w.wakes(3)
    assert (traffic(w), w.kinds[-1]) == ({"blue": 100}, "endpoint.restored")


def test_a_slot_that_answers_only_after_it_was_given_up_gets_its_traffic_all_the_same() -> None:
    w = guarded()
    remove_slot(w)
    w.fake.scorer.answer = Broken(quality(w), "blue", Upstream("502"), times=10)
    later(w, 13)
    assert "is there, but did not answer 10 requests: it was brought back, or that was tried, 1 time" in told(w)[-1]
    assert traffic(w) == {}
    later(w)
    assert (traffic(w), w.kinds[-1]) == ({"blue": 100}, "endpoint.restored")


def test_a_candidate_waits_until_the_champion_can_be_compared_with() -> None:
    w = guarded()
    quality(w).right["vl-nuts:2"] = 8  # a tie: were the champion not asked, it would go live
    remove_slot(w)
    add(w, 2)
    settle(w)
    assert champion(w).run == 1
    assert w.state.run(2).rollout == "rejected"
    assert w.kinds.index("endpoint.restored") < len(w.kinds) - 1 - w.kinds[::-1].index("rollout.started")
    assert traffic(w) == {"blue": 100}


@pytest.mark.parametrize("moved", [True, False])
def test_a_persons_word_brings_back_what_loop_yaml_leaves(moved: bool) -> None:
    w = guarded(repair="none")
    if moved:
        move_traffic(w, {"prod": 100})
    else:
        remove_endpoint(w)
    later(w, 2)
    assert w.state.guard.trouble == ("traffic" if moved else "gone")
    Commands(w.fake.system).put(LOOP, command("promote", Asked(by="Ada"), w.fake.clock(), 1))
    w.wakes(8)
    assert (traffic(w), slots(w)["blue"]) == ({"blue": 100}, "vl-nuts:1")
    assert w.kinds[-2:] == ["rollout.ordered", "endpoint.restored"]
    assert w.state.guard.repaired == []


def test_a_persons_word_does_not_wait_for_the_champion_to_come_back() -> None:
    w = guarded()
    remove_slot(w)
    later(w, 2)
    assert w.state.guard.repair is not None
    w.edit(lambda s: s.runs.append(candidate(2, rollout="failed")))
    order = RolloutOrder(kind="promote", run=2, order=Order(by="Ada", at=w.fake.clock()))
    w.edit(lambda s: setattr(s, "rollout_next", order))
    w.wakes(1)
    assert w.state.rollout is not None
    assert (w.state.rollout.run, w.state.guard.repair) == (2, None)
    settle(w)
    assert (champion(w).run, traffic(w)) == (2, {"green": 100})
    later(w)
    assert w.state.guard.trouble is None


def waits_for_a_yes() -> World:
    """Run 2 was found better than the champion, and nobody has said yes."""
    w = world(config={"endpoint": {"name": ENDPOINT}, "promotion": {"approval": "required"}})
    w._stages = [ControlStage(), RolloutStage(), GuardStage(), IdleStage()]
    w.wakes(9)
    yes(w)
    settle(w)
    add(w, 2)
    w.wakes(9)
    assert w.state.rollout is not None
    assert (w.state.rollout.run, w.state.rollout.step) == (2, "approve")
    return w


def yes(w: World) -> None:
    asked = w.state.rollout.approval if w.state.rollout else None
    assert asked is not None
    found = command("approve", Asked(), w.fake.clock()).model_copy(update={"question": asked.id})
    Commands(w.fake.system).put(LOOP, found)


def test_while_a_challenger_waits_for_a_yes_for_days_the_champion_is_guarded() -> None:
    w = waits_for_a_yes()
    there = w.fake.workspace.endpoints[ENDPOINT]
    del there.slots["blue"]
    there.view = replace(there.view, traffic={})
    later(w)
    assert (traffic(w), slots(w)) == ({"blue": 100}, {"blue": "vl-nuts:1", "green": "vl-nuts:2"})
    assert w.kinds[-2:] == ["endpoint.lost", "endpoint.restored"]


def test_a_yes_during_a_repair_waits_for_it() -> None:
    w = waits_for_a_yes()
    there = w.fake.workspace.endpoints[ENDPOINT]
    del there.slots["blue"]
    there.view = replace(there.view, traffic={})
    later(w, 1)
    yes(w)
    w.wakes(1)
    assert w.state.rollout is not None
    assert (w.state.rollout.step, w.state.guard.repair is not None) == ("approve", True)
    settle(w)
    assert (champion(w).run, traffic(w), slots(w)) == (2, {"green": 100}, {"green": "vl-nuts:2"})
    assert w.kinds.index("endpoint.restored") < len(w.kinds) - w.kinds[::-1].index("rollout.promoted")


def test_during_a_rollout_and_while_it_rests_nobody_looks() -> None:
    w = guarded(idle_after_hours=1)
    w.fake.clock.advance(HOUR)
    w.wakes(8)
    assert w.state.resting is not None
    calls = len(w.fake.workspace.calls)
    w.wakes(5, every=HOUR)
    assert w.fake.workspace.calls[calls:] == []
    assert "endpoint.lost" not in w.kinds


def test_the_address_of_an_endpoint_that_was_made_anew_is_taken_over() -> None:
    w = guarded()
    remove_endpoint(w)
    make = w.fake.workspace.begin_endpoint

    def elsewhere(name: str, tags: dict[str, str], cluster: str = "") -> None:
        make(name, tags, cluster)
        there = w.fake.workspace.endpoints[name]
        there.view = EndpointView(name, "creating", "https://new.example/score", {}, owner=there.view.owner)

    w.fake.workspace.begin_endpoint = elsewhere  # type: ignore[method-assign,assignment]
    later(w)
    assert champion(w).scoring_uri == "https://new.example/score"


@pytest.mark.parametrize("harm", [remove_slot, remove_endpoint])
def test_killed_at_any_outside_call_it_is_brought_back_and_told_once(
    monkeypatch: pytest.MonkeyPatch, harm: Callable[[World], None]
) -> None:
    measure_once(monkeypatch)

    def fresh() -> World:
        w = guarded()
        harm(w)
        w.fake.clock.advance(QUARTER)
        return w

    calm = fresh()
    for number, w in killed_everywhere(calm, fresh, lambda w: w.wakes(9), most=40):
        assert (traffic(w), slots(w), w.kinds) == (traffic(calm), slots(calm), calm.kinds), number
        assert w.state.guard.repair is None
        assert all(sum(share.values()) in (0, 100) for share in w.fake.workspace.traffic_history)


def lose_it_while_the_challenger_is_deployed(w: World) -> None:
    for _ in range(20):
        w.wakes(1)
        if w.state.rollout is not None and w.state.rollout.step == "deploy":
            w.fake.workspace.endpoints[ENDPOINT].slots.pop("blue")
            return
    raise AssertionError(w.state.rollout)


def test_a_champion_that_is_lost_during_the_evaluation_is_brought_back_and_compared_with() -> None:
    w = guarded()
    quality(w).right["vl-nuts:2"] = 7
    add(w, 2)
    lose_it_while_the_challenger_is_deployed(w)
    settle(w)
    assert w.state.run(2).rollout == "rejected"
    assert "champion 0.8020" in str(w.events[-1].data["reason"])
    w.wakes(3)
    assert (champion(w).run, traffic(w), slots(w)) == (1, {"blue": 100}, {"blue": "vl-nuts:1"})
    assert w.kinds.count("endpoint.restored") == 1


def test_a_champion_that_cannot_be_brought_back_during_the_evaluation_is_gone_on_without() -> None:
    w = guarded()
    add(w, 2)
    lose_it_while_the_challenger_is_deployed(w)
    w.fake.workspace.failing_slots.add("blue")
    w.fake.scorer.answer = Broken(quality(w), "blue", Upstream("503"))
    settle(w)
    assert (champion(w).run, traffic(w)) == (2, {"green": 100})
    assert any("in 3 attempts" in said for said in told(w))


@pytest.mark.parametrize("wakes", [0, 3])
def test_a_slot_that_is_lost_when_or_after_it_was_scaled_down_is_brought_back(wakes: int) -> None:
    w = guarded(idle_after_hours=1, idle="scale", instance_count=3)
    w.fake.clock.advance(HOUR)
    w.wakes(wakes)
    assert (w.state.resting is not None) is bool(wakes)
    remove_slot(w)
    later(w)
    assert (traffic(w), slots(w)) == ({"blue": 100}, {"blue": "vl-nuts:1"})
    assert "endpoint.restored" in w.kinds


def test_a_slot_that_is_lost_before_its_machines_are_given_back_is_brought_back() -> None:
    w = guarded(idle_after_hours=1, idle="scale", instance_count=3)
    w.fake.clock.advance(HOUR)
    w.wakes(3)
    remove_slot(w)
    w.fake.system.write(activity_blob(LOOP), json.dumps({"last": w.fake.clock().isoformat()}).encode())
    w.wakes(1)
    later(w)
    assert (traffic(w), w.state.resting) == ({"blue": 100}, None)


def test_a_trouble_is_told_once_though_its_words_change_at_every_look() -> None:
    """The end of a failed slot's log has the time in it."""
    w = guarded(repair="none")
    fail_slot(w)
    there = w.fake.workspace.endpoints[ENDPOINT]
    for number in range(3):
        there.slots["blue"] = replace(there.slots["blue"], error=f"its log ends: 12:0{number} out of memory")
        later(w, 2)
    assert w.kinds.count("endpoint.lost") == 1
    assert "12:02 out of memory" in w.state.guard.reason


def test_a_repair_that_is_given_up_is_told_once_until_the_next() -> None:
    w = guarded()
    remove_slot(w)
    w.fake.scorer.answer = Broken(quality(w), "blue", Upstream("502"))
    w.fake.clock.advance(QUARTER)
    w.wakes(300, every=61)
    tries = [said for said in told(w) if said.endswith("the same model is brought back")]
    given_up = [said for said in told(w) if "did not answer 10 requests: " in said]
    both = set(tries) & set(given_up)  # the next one is due already when this one is given up
    assert (len(tries), len(given_up), len(told(w))) == (3, 3, 6 - len(both))
