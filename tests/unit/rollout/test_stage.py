from __future__ import annotations

import json
from datetime import timedelta

import pytest

from services.cloud.ports.serving import DeploymentView
from services.rollout import evaluation
from services.state import ModelRef
from tests.support.rollouts import (
    CONFIG,
    ENDPOINT,
    IMAGES,
    add,
    candidate,
    champion,
    live,
    quality,
    settle,
    slots,
    traffic,
    world,
)
from tests.support.stages import NOW, state, version


def test_the_first_model_goes_live() -> None:
    w = live()
    found = champion(w)
    assert (found.run, found.slot, found.endpoint) == (1, "blue", ENDPOINT)
    assert found.model == ModelRef(name="vl-nuts", version="1")
    assert found.scoring_uri == f"https://{ENDPOINT}.example/score"
    assert (found.metric, found.classes) == ("mean_average_precision", ["bolt", "nut"])
    assert found.score == pytest.approx(81 / 101)  # 8 of 10 found: precision 1 at the recalls 0.00 to 0.80
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert w.state.run(1).rollout == "promoted"
    assert w.kinds == ["rollout.started", "rollout.evaluated", "rollout.promoted"]
    assert "there is no champion yet, minimum 0" in w.events[2].data["reason"]


def test_a_better_challenger_takes_over_and_the_old_slot_is_deleted() -> None:
    w = live()
    quality(w).seconds = 0.001
    add(w, 2)
    settle(w)
    assert champion(w).run == 2
    assert traffic(w) == {"green": 100}
    assert slots(w) == {"green": "vl-nuts:2"}
    evaluated = w.events[4].data
    assert evaluated["scores"]["green"]["map50"] > evaluated["scores"]["blue"]["map50"]
    assert "challenger 0.9010, champion 0.8020, +0.0990" in w.events[5].data["reason"]
    assert "interval -0.0" not in w.events[5].data["reason"]  # nothing was found by the champion alone
    result = json.loads(w.cloud.system.read("evaluations/nuts/run-2/result.json").data)
    assert result["slots"]["green"]["per_class"]["nut"] == result["slots"]["green"]["metrics"]
    assert result["interval"] == evaluated["interval"]
    assert result["interval"]["low"] == 0.0
    assert 1 <= result["slots"]["blue"]["latency_ms"] < 1000
    add(w, 3)
    settle(w)
    assert traffic(w) == {"blue": 100}
    assert champion(w).run == 3
    assert w.fake.workspace.traffic_history == [{"blue": 100}, {"green": 100}, {"blue": 100}]


@pytest.mark.parametrize(("right", "margin"), [(8, 0.0), (7, 0.0), (9, 0.2)])
def test_a_challenger_that_is_not_better_leaves_everything_as_it_was(right: int, margin: float) -> None:
    w = live({"promotion": {"margin": margin}})
    before = champion(w)
    quality(w).right["vl-nuts:2"] = right
    add(w, 2)
    settle(w)
    assert champion(w) == before
    assert traffic(w) == {"blue": 100}
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert w.state.run(2).rollout == "rejected"
    assert w.kinds[-2:] == ["rollout.evaluated", "rollout.rejected"]
    assert "champion 0.8020" in w.events[-1].data["reason"]
    assert len(w.fake.workspace.traffic_history) == 1


def test_a_first_model_below_the_minimum_is_rejected() -> None:
    w = world(config={"promotion": {"minimum": 0.95}})
    settle(w)
    assert w.state.champion is None
    assert traffic(w) == {}
    assert slots(w) == {}


def test_both_are_asked_for_the_same_images_once() -> None:
    w = live()
    quality(w).asked.clear()
    add(w, 2)
    settle(w)
    asked = quality(w).asked
    images = {f"image-{n}" for n in range(IMAGES)}
    assert {image for model, image in asked if model == "vl-nuts:1"} == images
    assert len([1 for model, _ in asked if model == "vl-nuts:1"]) == IMAGES
    assert len([1 for model, _ in asked if model == "vl-nuts:2"]) == IMAGES + 1  # the smoke request


def test_what_an_earlier_rollout_left_in_the_slot_is_deleted_first() -> None:
    w = live()
    w.fake.workspace.endpoints[ENDPOINT].slots["green"] = DeploymentView("green", "failed", "vl-nuts:9")
    add(w, 2)
    settle(w)
    assert slots(w) == {"green": "vl-nuts:2"}
    assert champion(w).run == 2


def test_traffic_that_nobody_remembers_is_kept_out_of() -> None:
    w = live()
    w.edit(lambda s: setattr(s, "champion", None))
    add(w, 2)
    settle(w)
    assert w.fake.workspace.traffic_history == [{"blue": 100}, {"green": 100}]


def test_a_champion_whose_slot_is_gone_and_not_brought_back_is_no_opponent() -> None:
    w = live({"endpoint": {"name": ENDPOINT, "repair": "none"}})
    del w.fake.workspace.endpoints[ENDPOINT].slots["blue"]
    quality(w).right["vl-nuts:2"] = 5
    add(w, 2)
    settle(w)
    assert champion(w).run == 2
    assert "the champion's slot blue of nuts-endpoint is gone" in w.events[-1].data["reason"]


def test_a_champion_of_another_task_is_no_opponent() -> None:
    w = live()
    w.edit(
        lambda s: setattr(s, "champion", s.champion and s.champion.model_copy(update={"task": "image_classification"}))
    )
    quality(w).right["vl-nuts:2"] = 5
    add(w, 2)
    settle(w)
    assert "the champion (run 1) is of another task" in w.events[-1].data["reason"]


def test_another_endpoint_name_moves_the_loop_and_cleans_the_old_endpoint() -> None:
    w = live()
    w.edit(lambda s: setattr(s, "config", state(config={"endpoint": {"name": "nuts-two"}}).config))
    add(w, 2)
    settle(w)
    assert (champion(w).endpoint, champion(w).slot) == ("nuts-two", "green")
    assert traffic(w, "nuts-two") == {"green": 100}
    assert traffic(w) == {}
    assert slots(w) == {}


def test_the_endpoint_has_a_derived_name_where_loop_yaml_gives_none() -> None:
    w = world(state(datasets=[version()], runs=[candidate(1)]))
    settle(w)
    assert champion(w).endpoint.startswith("vl-nuts-")


def test_a_newer_candidate_supersedes_waiting_ones_but_no_rollout_under_way() -> None:
    w = world()
    w.wakes(2)
    assert w.state.rollout is not None
    add(w, 2)
    add(w, 3)
    settle(w)
    assert [r.rollout for r in w.state.runs] == ["promoted", "superseded", "promoted"]
    assert champion(w).run == 3
    superseded = [e for e in w.events if "superseded by run 3" in e.data["reason"]]
    assert [e.data["run"] for e in superseded] == [2]


def test_a_paused_loop_begins_nothing_and_finishes_what_is_under_way() -> None:
    w = world(state(config={**CONFIG, "paused": True}, datasets=[version()], runs=[candidate(1)]))
    w.wakes(3)
    assert w.state.rollout is None
    w = world()
    w.wakes(2)
    w.edit(lambda s: setattr(s, "config", state(config={**CONFIG, "paused": True}).config))
    settle(w)
    assert champion(w).run == 1


def test_nothing_to_do_asks_for_no_wake() -> None:
    w = live()
    w.edit(lambda s: setattr(s, "next_wake", None))
    w.wakes(2)
    assert w.state.next_wake is None


def test_an_evaluation_yields_and_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "BATCH_IMAGES", 3)
    monkeypatch.setattr(evaluation, "TIMED_IMAGES", 0)
    w = live()
    quality(w).asked.clear()
    monkeypatch.setattr(evaluation, "RESERVE_SECONDS", 10**9)  # the time is always nearly up: a batch a step
    add(w, 2)
    settle(w)
    assert champion(w).run == 2
    parts = [b.name for b in w.cloud.system.list("evaluations/nuts/run-2/green-2/")]
    assert len(parts) == 4
    assert len(quality(w).asked) == 2 * IMAGES + 1


def test_times_of_the_state_are_those_of_the_clock() -> None:
    w = live()
    assert NOW < champion(w).promoted < NOW + timedelta(hours=1)


def test_a_difference_that_may_be_noise_promotes_nobody_where_that_is_asked() -> None:
    w = live({"promotion": {"require_significance": True}})
    add(w, 2)  # one image more of ten
    settle(w)
    assert champion(w).run == 1
    assert "not more than noise, and promotion.require_significance asks for that" in w.events[-1].data["reason"]
    assert w.events[-1].data["scores"]["green"]["map50"] > w.events[-1].data["scores"]["blue"]["map50"]


@pytest.mark.parametrize(("floor", "live_run"), [(0.85, 2), (0.95, 1)])
def test_a_floor_of_a_class_holds_a_better_challenger_back(floor: float, live_run: int) -> None:
    w = live()
    config = state(config={**CONFIG, "promotion": {"class_floors": {"nut": floor}}}).config
    w.edit(lambda s: setattr(s, "config", config))
    add(w, 2)
    settle(w)
    assert champion(w).run == live_run
    assert ("class `nut` reaches 0.9010 of its floor of 0.95" in w.events[-1].data["reason"]) is (live_run == 1)


def test_a_challenger_over_the_ceiling_of_latency_is_rejected() -> None:
    w = live({"promotion": {"max_latency_ms": 1000}})
    w.edit(lambda s: setattr(s, "config", state(config={**CONFIG, "promotion": {"max_latency_ms": 1e-9}}).config))
    add(w, 2)
    settle(w)
    assert champion(w).run == 1
    assert "ms, at most 1e-09 ms is allowed" in w.events[-1].data["reason"]
