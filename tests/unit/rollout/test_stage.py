from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.cloud.ports import DeploymentView, EndpointView
from services.decisions.rollout import LIMITS
from services.errors import NotFound, Upstream, UpstreamBusy, UpstreamRefused
from services.rollout import evaluation, trial
from services.rollout.stage import RolloutStage
from services.state import Champion, LoopState, ModelRef, Slot
from tests.support.stages import LOOP, NOW, World, jsonl, run, state, version

IMAGES = 10
ENDPOINT = "nuts-endpoint"
CONFIG = {"endpoint": {"name": ENDPOINT}}
TRUTH = {"label": "nut", "topX": 0.1, "topY": 0.1, "bottomX": 0.5, "bottomY": 0.5, "isCrowd": 0}


class Quality:
    """Models that find the nut in so many of the images, whatever slot they are in."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.right = {"vl-nuts:1": 8, "vl-nuts:2": 9, "vl-nuts:3": 10}
        self.asked: list[tuple[str, str]] = []

    def __call__(self, slot: str, image: bytes) -> dict[str, object]:
        model = next(e.slots[slot].model for e in self.world.fake.workspace.endpoints.values() if slot in e.slots)
        self.asked.append((model, image.decode()))
        number = int(image.decode().rpartition("-")[2])
        box = {k: v for k, v in TRUTH.items() if k.endswith(("X", "Y"))}
        return {"boxes": [{"box": box, "label": "nut", "score": 0.9}] if number < self.right[model] else []}


def candidate(number: int, **changes: Any) -> Any:
    model = ModelRef(name="vl-nuts", version=str(number))
    return run(number, **{"model": model, "rollout": "pending", **changes})


def world(first: LoopState | None = None, config: dict[str, Any] | None = None) -> World:
    made = first or state(config={**CONFIG, **(config or {})}, datasets=[version()], runs=[candidate(1)])
    w = World([RolloutStage()], made)
    names = [f"{LOOP}/images/{n}.jpg" for n in range(IMAGES)]
    for number, name in enumerate(names):
        w.cloud.data.write(name, f"image-{number}".encode())
    folder = made.datasets[0].folder
    w.cloud.system.write(f"{folder}validation/validation_annotations.jsonl", jsonl([(n, [TRUTH]) for n in names]))
    w.fake.scorer.answer = Quality(w)
    return w


def quality(w: World) -> Quality:
    assert isinstance(w.fake.scorer.answer, Quality)
    return w.fake.scorer.answer


def slots(w: World, endpoint: str = ENDPOINT) -> dict[str, str]:
    return {slot: view.model for slot, view in w.fake.workspace.endpoints[endpoint].slots.items()}


def traffic(w: World, endpoint: str = ENDPOINT) -> dict[str, int]:
    return dict(w.fake.workspace.endpoints[endpoint].view.traffic)


def champion(w: World) -> Champion:
    found = w.state.champion
    assert found is not None
    return found


def settle(w: World, most: int = 60) -> None:
    """Wake until the rollout is over."""
    for _ in range(most):
        w.wakes()
        rollout = w.state.rollout
        if rollout is not None and rollout.step == "done" and not any(r.rollout == "pending" for r in w.state.runs):
            return
    raise AssertionError(f"still in step {w.state.rollout}")


def add(w: World, number: int, **changes: Any) -> None:
    w.edit(lambda s: s.runs.append(candidate(number, **changes)))


def live(config: dict[str, Any] | None = None) -> World:
    """A world with the model of run 1 live on blue."""
    w = world(config=config)
    settle(w)
    assert traffic(w) == {"blue": 100}
    return w


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
    add(w, 2)
    settle(w)
    assert champion(w).run == 2
    assert traffic(w) == {"green": 100}
    assert slots(w) == {"green": "vl-nuts:2"}
    evaluated = w.events[4].data
    assert evaluated["scores"]["green"]["map50"] > evaluated["scores"]["blue"]["map50"]
    assert "challenger 0.9010, champion 0.8020, +0.0990" in w.events[5].data["reason"]
    result = w.cloud.system.read("evaluations/nuts/run-2/result.json").data.decode()
    assert '"nut"' in result
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


def test_a_deployment_that_fails_is_tried_twice_and_leaves_the_champion() -> None:
    w = live()
    w.fake.workspace.failing_slots.add("green")
    add(w, 2)
    settle(w)
    assert w.fake.workspace.calls.count("begin_deployment") == 1 + 2
    assert w.state.run(2).rollout == "failed"
    assert "could not be deployed to slot green in 2 attempts: no" in w.events[-1].data["reason"]
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert champion(w).run == 1


def test_what_an_earlier_rollout_left_in_the_slot_is_deleted_first() -> None:
    w = live()
    w.fake.workspace.endpoints[ENDPOINT].slots["green"] = DeploymentView("green", "failed", "vl-nuts:9")
    add(w, 2)
    settle(w)
    assert slots(w) == {"green": "vl-nuts:2"}
    assert champion(w).run == 2


def test_a_slot_with_traffic_is_not_free() -> None:
    w = live()
    w.fake.workspace.endpoints[ENDPOINT].view = EndpointView(
        ENDPOINT, "succeeded", "https://x.example", {"blue": 90, "green": 10}
    )
    add(w, 2)
    settle(w)
    assert w.state.run(2).rollout == "failed"
    assert "no slot without traffic" in w.events[-1].data["reason"]
    assert traffic(w) == {"blue": 90, "green": 10}


def test_traffic_that_nobody_remembers_is_kept_out_of() -> None:
    w = live()
    w.edit(lambda s: setattr(s, "champion", None))
    add(w, 2)
    settle(w)
    assert w.fake.workspace.traffic_history == [{"blue": 100}, {"green": 100}]


class Broken:
    """The scorer's answer is an error for one slot, for so many calls."""

    def __init__(self, inner: Quality, slot: str, error: Exception, times: int = 10**6, after: int = 0) -> None:
        self.inner, self.slot, self.error, self.times, self.after = inner, slot, error, times, after

    def __call__(self, slot: str, image: bytes) -> dict[str, object]:
        if slot == self.slot:
            self.after -= 1
            if self.after < 0 < self.times:
                self.times -= 1
                raise self.error
        return self.inner(slot, image)


@pytest.mark.parametrize("error", [Upstream("502"), NotFound("404"), UpstreamBusy("429", retry_after=5)])
def test_a_slot_that_answers_late_is_waited_for(error: Exception) -> None:
    w = live()
    w.fake.scorer.answer = Broken(quality(w), "green", error, times=6)
    add(w, 2)
    settle(w)
    assert champion(w).run == 2


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_slot_that_stops_answering_fails_the_rollout(after: int) -> None:
    w = live()
    w.fake.scorer.answer = Broken(quality(w), "green", Upstream("502 bad gateway"), after=after)
    add(w, 2)
    settle(w)
    assert w.state.run(2).rollout == "failed"
    assert "502 bad gateway" in w.events[-1].data["reason"]
    assert champion(w).run == 1
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert len(w.fake.workspace.traffic_history) == 1


def test_a_champion_that_stops_answering_is_not_thereby_beaten() -> None:
    w = live()
    w.fake.scorer.answer = Broken(quality(w), "blue", Upstream("502"))
    add(w, 2)
    settle(w)
    assert champion(w).run == 1
    assert w.state.run(2).rollout == "failed"


@pytest.mark.parametrize("answer", [{"boxes": "none"}, {}, {"error": "x"}])
def test_an_answer_of_another_shape_gets_no_traffic(answer: dict[str, object]) -> None:
    w = world()
    w.fake.scorer.answer = lambda _slot, _image: answer
    settle(w)
    assert w.state.run(1).rollout == "failed"
    assert "another shape" in w.events[-1].data["reason"]
    assert w.fake.workspace.traffic_history == []
    assert slots(w) == {}


def test_an_image_that_the_slot_refuses_counts_as_nothing_found() -> None:
    w = world()
    inner = quality(w)

    def answer(slot: str, image: bytes) -> dict[str, object]:
        if image == b"image-3":
            raise UpstreamRefused("400")
        return inner(slot, image)

    w.fake.scorer.answer = answer
    settle(w)
    assert champion(w).score == pytest.approx(70 / 101)  # 7 of 10: up to the recall 0.69


def test_deleted_images_count_for_neither() -> None:
    w = live()
    for number in range(4):
        w.cloud.data.delete(f"{LOOP}/images/{number}.jpg")
    add(w, 2)
    settle(w)
    assert "6 validation images" in w.events[-2].data["reason"]
    assert champion(w).run == 2
    w.cloud.data.delete(f"{LOOP}/images/4.jpg")
    w.cloud.data.delete(f"{LOOP}/images/5.jpg")
    add(w, 3)
    settle(w)
    assert "Only 4 of 10 validation images are still there" in w.events[-1].data["reason"]
    assert champion(w).run == 2


def test_without_any_image_left_there_is_no_smoke_request() -> None:
    w = world()
    for number in range(IMAGES):
        w.cloud.data.delete(f"{LOOP}/images/{number}.jpg")
    settle(w)
    assert "No validation image of dataset version 1 can be read" in w.events[-1].data["reason"]


def test_a_champion_whose_slot_is_gone_is_no_opponent() -> None:
    w = live()
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


def test_an_endpoint_that_never_comes_fails_the_rollout() -> None:
    w = world()
    w.fake.workspace.endpoints.clear()
    original = w.fake.workspace.begin_endpoint
    w.fake.workspace.begin_endpoint = lambda name, tags: None  # type: ignore[method-assign]
    settle(w)
    assert "did not come to be in 3 attempts" in w.events[-1].data["reason"]
    w.fake.workspace.begin_endpoint = original  # type: ignore[method-assign]
    add(w, 2)
    settle(w)
    assert champion(w).run == 2


def refuse_traffic(w: World) -> None:
    w.fake.workspace.begin_traffic = lambda endpoint, share: None  # type: ignore[method-assign]


def test_traffic_that_does_not_move_is_no_promotion() -> None:
    w = live()
    refuse_traffic(w)
    add(w, 2)
    settle(w)
    assert champion(w).run == 1
    assert w.state.run(2).rollout == "failed"
    assert "after 3 attempts to shift it" in w.events[-1].data["reason"]
    assert traffic(w) == {"blue": 100}
    assert slots(w) == {"blue": "vl-nuts:1"}


def test_traffic_that_moved_too_late_is_given_back() -> None:
    w = live()
    move = w.fake.workspace.begin_traffic
    refuse_traffic(w)
    add(w, 2)
    for _ in range(60):
        w.wake()
        rollout = w.state.rollout
        if rollout and rollout.run == 2 and rollout.step == "shift":
            break
    w.fake.clock.advance(LIMITS["shift"].lasts.total_seconds() + 1)
    w.fake.workspace.begin_traffic = move  # type: ignore[method-assign]
    move(ENDPOINT, {"green": 100})
    settle(w)
    assert champion(w).run == 1
    assert traffic(w) == {"blue": 100}
    assert slots(w) == {"blue": "vl-nuts:1"}


def test_a_slot_that_cannot_be_deleted_is_left_behind_and_said() -> None:
    w = live()
    w.fake.workspace.begin_delete_deployment = lambda endpoint, slot: None  # type: ignore[method-assign]
    quality(w).right["vl-nuts:2"] = 0
    add(w, 2)
    settle(w, most=300)
    assert slots(w) == {"blue": "vl-nuts:1", "green": "vl-nuts:2"}
    assert w.state.rollout is not None
    assert "slot green is left behind: step abandon has lasted more than 120 minutes" in w.state.rollout.decision


def test_a_deployment_that_takes_too_long_fails_the_rollout() -> None:
    w = live()
    add(w, 2)
    w.wake()
    stuck = DeploymentView("green", "creating", "vl-nuts:2")
    lasts = LIMITS["deploy"].lasts.total_seconds()
    for _ in range(int(lasts / 31) + 2):
        w.fake.workspace.endpoints[ENDPOINT].slots["green"] = stuck
        w.wakes()
    assert w.state.run(2).rollout == "failed"
    assert "step deploy has lasted more than 90 minutes" in w.events[-1].data["reason"]


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


def test_a_failing_cloud_is_asked_again_and_told_once() -> None:
    w = world()

    def hook(call: str) -> None:
        if call == "before:workspace.endpoint":
            raise Upstream("Azure answered 500")

    w.fake.on_call = hook
    w.wakes(5)
    assert w.kinds == ["rollout.started", "loop.error"]
    w.fake.on_call = lambda _: None
    settle(w)
    assert champion(w).run == 1


def test_an_evaluation_yields_and_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "BATCH_IMAGES", 3)
    w = live()
    quality(w).asked.clear()
    monkeypatch.setattr(evaluation, "RESERVE_SECONDS", 10**9)  # the time is always nearly up: a batch a step
    add(w, 2)
    settle(w)
    assert champion(w).run == 2
    parts = [b.name for b in w.cloud.system.list("evaluations/nuts/run-2/green-2/")]
    assert len(parts) == 4
    assert len(quality(w).asked) == 2 * IMAGES + 1


def course(w: World) -> None:
    """A first model, then a better one, then a worse one."""
    settle(w)
    for number in (2, 4):
        if all(r.number != number for r in w.state.runs):
            add(w, number)
        settle(w)


def fresh() -> World:
    w = world()
    quality(w).right["vl-nuts:4"] = 9  # a tie with run 2
    return w


def outcome(w: World) -> dict[str, Any]:
    return {
        "traffic": traffic(w),
        "slots": slots(w),
        "runs": [(r.number, r.rollout) for r in w.state.runs],
        "champion": champion(w).model_dump(exclude={"promoted"}),
        "kinds": w.kinds,
    }


def watch(w: World) -> list[str]:
    """Breaches of the invariants, looked for at every outside call."""
    breaches: list[str] = []
    answered: set[str] = set()
    move = w.fake.workspace.begin_traffic
    inner = quality(w)

    def answer(slot: str, image: bytes) -> dict[str, object]:
        found = inner(slot, image)
        answered.add(inner.asked[-1][0])
        return found

    def begin_traffic(endpoint: str, share: dict[str, int]) -> None:
        for slot, percent in share.items():
            if percent and w.fake.workspace.endpoints[endpoint].slots[slot].model not in answered:
                breaches.append(f"traffic to {slot}, which never answered")
        if sum(share.values()) != 100:
            breaches.append(f"traffic {share}")
        move(endpoint, share)

    w.fake.scorer.answer = answer
    w.fake.workspace.begin_traffic = begin_traffic  # type: ignore[method-assign,assignment]
    return breaches


def remembered(pure: Callable[..., Any]) -> Callable[..., Any]:
    """The same measurements a thousand times over would take the most of the test's time."""
    known: dict[str, Any] = {}

    def measure(*arguments: Any) -> Any:
        key = repr(arguments)
        if key not in known:
            known[key] = pure(*arguments)
        return known[key]

    return measure


def test_killed_at_any_outside_call_the_end_is_the_same_and_no_invariant_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trial, "measure", remembered(trial.measure))
    calm = fresh()
    calls = calm.calls_of(lambda: course(calm))
    expected = outcome(calm)
    assert expected["runs"] == [(1, "promoted"), (2, "promoted"), (4, "rejected")]
    assert calls > 200
    for number in range(calls):
        w = fresh()
        breaches = watch(w)
        w.dying_at(number, lambda w=w: course(w))  # type: ignore[misc]
        course(w)
        assert outcome(w) == expected, f"killed at call {number}"
        assert breaches == []
        assert set(map(str, w.fake.workspace.traffic_history)) == {"{'blue': 100}", "{'green': 100}"}


@pytest.mark.parametrize("step", ["deploy", "smoke", "evaluate", "shift"])
def test_whatever_step_fails_the_champion_stays(step: str) -> None:
    breaks: dict[str, Callable[[World], None]] = {
        "deploy": lambda w: w.fake.workspace.failing_slots.add("green"),
        "smoke": lambda w: setattr(w.fake.scorer, "answer", Broken(quality(w), "green", Upstream("x"))),
        "evaluate": lambda w: setattr(w.fake.scorer, "answer", Broken(quality(w), "green", Upstream("x"), after=1)),
        "shift": refuse_traffic,
    }
    w = live()
    before = champion(w)
    breaks[step](w)
    add(w, 2)
    settle(w)
    assert w.events[-1].data["step"] == step
    assert champion(w) == before
    assert traffic(w) == {"blue": 100}
    slot: Slot = "blue"
    assert slots(w) == {slot: "vl-nuts:1"}


def test_times_of_the_state_are_those_of_the_clock() -> None:
    w = live()
    assert NOW < champion(w).promoted < NOW + timedelta(hours=1)
