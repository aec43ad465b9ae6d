"""Whatever fails, and wherever the process dies, the champion stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from services.cloud.ports.serving import DeploymentView, EndpointView
from services.decisions.rollout import GRACE, LIMITS
from services.errors import NotFound, Upstream, UpstreamBusy, UpstreamRefused
from services.state import Order, RolloutOrder, RolloutStep, Slot
from tests.support.rollouts import (
    ENDPOINT,
    IMAGES,
    Broken,
    add,
    candidate,
    champion,
    live,
    measure_once,
    quality,
    refuse_traffic,
    settle,
    slots,
    traffic,
    world,
)
from tests.support.stages import LOOP, World


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


@pytest.mark.parametrize(
    ("owner", "share", "said"),
    [
        ("bolts", {"blue": 100}, "nuts-endpoint belongs to the loop bolts: give this loop another endpoint.name"),
        ("bolts", {}, "nuts-endpoint belongs to the loop bolts"),
        ("", {"prod": 100}, "nuts-endpoint was not made by Visionloop, and its traffic goes to prod 100 %"),
    ],
)
def test_an_endpoint_that_serves_somebody_else_is_left_alone(owner: str, share: dict[str, int], said: str) -> None:
    """A second loop with the same endpoint.name would delete the first one's champion and take its traffic."""
    w = world()
    w.fake.workspace.begin_endpoint(ENDPOINT, {"visionloop_loop": owner})
    there = w.fake.workspace.endpoints[ENDPOINT]
    there.slots = {slot: DeploymentView(slot, "succeeded", "vl-bolts:7") for slot in ("blue", "prod")}
    there.view = replace(there.view, traffic=share)
    settle(w)
    assert (w.state.run(1).rollout, w.state.champion) == ("failed", None)
    assert said in w.events[-1].data["reason"]
    assert (traffic(w), slots(w)) == (share, {"blue": "vl-bolts:7", "prod": "vl-bolts:7"})


def test_an_endpoint_made_by_hand_that_serves_nobody_is_taken() -> None:
    w = world()
    w.fake.workspace.begin_endpoint(ENDPOINT, {})
    settle(w)
    add(w, 2)
    settle(w)
    assert (champion(w).run, traffic(w)) == (2, {"green": 100})


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
    said = w.events[-1].data["reason"]
    assert "The champion vl-nuts:1 in slot blue did not answer the evaluation" in said
    assert "if the champion is what is broken, promote run 2 by hand" in said


def test_a_person_may_replace_a_champion_that_does_not_answer() -> None:
    """Its comparison would fail for ever: nothing could go live beside a dead champion, not even by hand."""
    w = live()
    w.fake.scorer.answer = Broken(quality(w), "blue", Upstream("502"))
    w.edit(lambda s: s.runs.append(candidate(2, rollout="failed")))
    order = RolloutOrder(kind="promote", run=2, order=Order(by="Ada", at=w.fake.clock()))
    w.edit(lambda s: setattr(s, "rollout_next", order))
    w.wakes(2)
    settle(w)
    assert champion(w).run == 2
    assert "the champion's slot blue does not answer, minimum 0; promote was asked for by Ada" in told(w)


@pytest.mark.parametrize(
    ("silent", "live_then", "said"),
    [(True, 2, "the champion's slot blue does not answer"), (False, 1, "challenger 0.3069, champion 0.8020")],
)
def test_a_champion_whose_slot_failed_is_an_opponent_as_long_as_it_answers(
    silent: bool, live_then: int, said: str
) -> None:
    """A failed change of a slot leaves its old machines serving: a worse model must not go live by that word alone."""
    w = live({"endpoint": {"name": ENDPOINT, "repair": "none"}})
    fail_champion(w)
    quality(w).right["vl-nuts:2"] = 3
    if silent:
        w.fake.scorer.answer = Broken(quality(w), "blue", Upstream("502"))
    add(w, 2)
    settle(w)
    assert champion(w).run == live_then
    assert said in told(w)


def fail_champion(w: World) -> None:
    w.fake.workspace.endpoints[ENDPOINT].slots["blue"] = DeploymentView("blue", "failed", "vl-nuts:1")


def told(w: World) -> str:
    return str(w.events[-1].data["reason"])


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


@pytest.mark.parametrize("call", ["begin_endpoint", "begin_deployment", "begin_traffic"])
def test_what_azure_is_too_busy_for_is_asked_for_until_it_is_taken(call: str) -> None:
    """A throttled subscription answers 429 for minutes: a good model must not fail by that."""
    w = world()
    taken, refused = getattr(w.fake.workspace, call), iter(range(8))

    def busy(*arguments: Any) -> None:
        if next(refused, None) is not None:
            raise UpstreamBusy("Azure answered 429", retry_after=20)
        taken(*arguments)

    setattr(w.fake.workspace, call, busy)
    settle(w)
    assert (champion(w).run, traffic(w)) == (1, {"blue": 100})


def test_what_azure_is_too_busy_for_all_the_time_fails_the_rollout_in_its_time_with_its_words() -> None:
    w = world()

    def busy(*_: Any) -> None:
        raise UpstreamBusy("Azure answered 429", retry_after=20)

    w.fake.workspace.begin_deployment = busy  # type: ignore[method-assign,assignment]
    w.wakes(40, every=300)
    assert w.state.run(1).rollout == "failed"
    assert w.events[-1].data["reason"] == "Given up: step deploy has lasted more than 90 minutes: Azure answered 429"


def test_an_endpoint_that_never_comes_fails_the_rollout() -> None:
    w = world()
    w.fake.workspace.endpoints.clear()
    original = w.fake.workspace.begin_endpoint
    w.fake.workspace.begin_endpoint = lambda *_: None  # type: ignore[method-assign]
    settle(w)
    assert "did not come to be in 3 attempts" in w.events[-1].data["reason"]
    w.fake.workspace.begin_endpoint = original  # type: ignore[method-assign]
    add(w, 2)
    settle(w)
    assert champion(w).run == 2


@pytest.mark.parametrize(("call", "what"), [("begin_endpoint", "Endpoint"), ("begin_deployment", "Slot blue")])
def test_what_azure_ml_does_not_take_is_the_reason_of_the_end(call: str, what: str) -> None:
    """Such as a name that another resource of the region has."""
    w = world()

    def hook(made: str) -> None:
        if made == f"before:workspace.{call}":
            raise UpstreamBusy("Azure answered 409: the name is taken")

    w.fake.on_call = hook
    settle(w)
    assert w.state.run(1).rollout == "failed"
    said = str(w.events[-1].data["reason"])
    assert said.startswith(what)
    assert said.endswith(" attempts: Azure answered 409: the name is taken")


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


def until(w: World, step: str) -> None:
    """Wake until the rollout of run 2 is at a step."""
    for _ in range(60):
        w.wake()
        rollout = w.state.rollout
        if rollout and rollout.run == 2 and rollout.step == step:
            return
    raise AssertionError(w.state.rollout)


def late(w: World, step: RolloutStep) -> None:
    """The app was down for as long as the step may last."""
    w.fake.clock.advance(LIMITS[step].lasts.total_seconds() + 1)


def test_traffic_that_moved_too_late_is_given_back() -> None:
    w = live()
    move = w.fake.workspace.begin_traffic
    refuse_traffic(w)
    add(w, 2)
    until(w, "shift")
    late(w, "shift")
    w.wake()
    assert w.state.rollout is not None
    assert w.state.rollout.step == "shift"
    w.fake.clock.advance(GRACE.total_seconds())
    w.wake()
    assert w.state.rollout.step == "abandon"
    w.fake.workspace.begin_traffic = move
    move(ENDPOINT, {"green": 100})
    settle(w)
    assert champion(w).run == 1
    assert traffic(w) == {"blue": 100}
    assert slots(w) == {"blue": "vl-nuts:1"}


def test_traffic_that_moved_while_nobody_looked_is_there() -> None:
    w = live()
    move = w.fake.workspace.begin_traffic
    refuse_traffic(w)
    add(w, 2)
    until(w, "shift")
    w.fake.workspace.begin_traffic = move  # type: ignore[method-assign]
    move(ENDPOINT, {"green": 100})
    late(w, "shift")
    settle(w)
    assert champion(w).run == 2


@pytest.mark.parametrize("hiccups", [0, 1])
def test_a_slot_that_became_ready_while_nobody_looked_is_gone_on_with(hiccups: int) -> None:
    """Azure ML may fail, too, at the first look after a long time."""
    w = live()
    add(w, 2)
    until(w, "deploy")
    w.fake.workspace.endpoints[ENDPOINT].slots["green"] = DeploymentView("green", "succeeded", "vl-nuts:2")
    late(w, "deploy")
    left = iter([True] * hiccups)

    def hook(call: str) -> None:
        if call == "before:workspace.deployment" and next(left, False):
            raise Upstream("Azure answered 500")

    w.fake.on_call = hook
    settle(w)
    assert champion(w).run == 2


def test_azure_ml_that_fails_for_longer_than_the_grace_ends_the_step() -> None:
    w = live()
    add(w, 2)
    until(w, "deploy")
    late(w, "deploy")

    def hook(call: str) -> None:
        if call == "before:workspace.deployment":
            raise Upstream("Azure answered 500")

    w.fake.on_call = hook
    w.wake()
    w.fake.clock.advance(GRACE.total_seconds() - 1)
    w.wake()
    assert w.state.run(2).rollout == "pending"
    w.fake.clock.advance(1)
    w.wake()
    assert w.state.run(2).rollout == "failed"
    assert "step deploy has lasted more than 90 minutes" in str([e.data for e in w.events][-2:])


def test_an_overdue_step_is_looked_at_again_within_its_grace() -> None:
    w = live()
    add(w, 2)
    until(w, "deploy")
    w.fake.workspace.endpoints[ENDPOINT].slots["green"] = DeploymentView("green", "creating", "vl-nuts:2")
    late(w, "deploy")
    w.wake()
    assert w.state.next_wake is not None
    assert w.state.next_wake <= w.fake.clock() + GRACE


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
    for _ in range(int((lasts + GRACE.total_seconds()) / 31) + 3):
        w.fake.workspace.endpoints[ENDPOINT].slots["green"] = stuck
        w.wakes()
    assert w.state.run(2).rollout == "failed"
    assert "step deploy has lasted more than 90 minutes" in w.events[-1].data["reason"]


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


def test_killed_at_any_outside_call_the_end_is_the_same_and_no_invariant_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measure_once(monkeypatch)
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
