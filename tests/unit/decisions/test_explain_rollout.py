"""The explanation's second half as a whole: what is said, by which name, and with which numbers for programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest

from services.decisions.explain_rollout import promotion, traffic
from services.decisions.explanation import Explanation, Missing
from services.state import (
    Approval,
    Guard,
    LoopState,
    ModelRef,
    Order,
    Repair,
    Resting,
    Rollout,
    RolloutOrder,
    RolloutStep,
    Watched,
)
from tests.support.predictions import champion
from tests.support.stages import NOW, run, state, version

MODEL = ModelRef(name="vl-nuts", version="2")
ADA = Order(by="Ada", why="lunch", at=NOW)


def loop(config: dict[str, Any] | None = None, **changes: Any) -> LoopState:
    made = state(config=config, datasets=[version()], runs=changes.pop("runs", ()))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def rolling(step: RolloutStep = "evaluate", **changes: Any) -> Rollout:
    fields: dict[str, Any] = {
        "run": 2,
        "model": MODEL,
        "dataset_version": 1,
        "endpoint": "vl-nuts",
        "slot": "green",
        "step": step,
        "started": NOW,
        "step_started": NOW,
        "holdout_images": 40,
    }
    return Rollout(**fields | changes)


NONE_MEASURED = (Missing("challenger", "No challenger is measured"),)


BOTH = "both on the newest validation images"
EVERYTHING = {
    "metric": "map50",
    "require_significance": True,
    "class_floors": {"nut": 0.5, "*": 0.1},
    "max_latency_ms": 200,
    "approval": "required",
}


@pytest.mark.parametrize(
    ("made", "bar"),
    [
        (loop(), "A first model needs the primary metric above 0"),
        (
            loop({"task": "image_classification", "promotion": {"minimum": 0.5}}),
            "A first model needs accuracy of at least 0.5",
        ),
        (
            loop(champion=champion(run=7, score=0.71)),
            "A challenger has to beat run 7 in mean_average_precision (0.7100 when it went live), " + BOTH,
        ),
        (
            loop({"promotion": {"margin": 0.02}}, champion=champion(run=7)),
            "A challenger has to beat run 7 in mean_average_precision (0.7100 when it went live) by at least 0.02, "
            + BOTH,
        ),
        (
            loop({"promotion": EVERYTHING}, champion=champion(run=7)),
            (
                f"A challenger has to beat run 7 in map50, {BOTH}; by more than noise; every other class at least 0.1; "
                "class `nut` at least 0.5; 95 % of images within 200 ms; and then somebody's yes"
            ),
        ),
        (
            loop({"task": "image_classification"}, champion=champion(run=7)),
            (
                "The champion (run 7) is of another task, object_detection, so nothing is compared with it. "
                "A first model needs accuracy above 0"
            ),
        ),
    ],
)
def test_the_bar_that_the_next_challenger_has_to_reach(made: LoopState, bar: str) -> None:
    assert promotion(made) == Explanation("promotion", bar, NONE_MEASURED)


def test_the_task_that_the_labels_showed_names_the_metric_where_loop_yaml_names_none() -> None:
    made = loop()
    made.catalogue.task = "image_classification_multilabel"
    assert promotion(made).says == "A first model needs iou above 0"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("rejected", "the last one, of run 2, was rejected: why"),
        ("failed", "the last one, of run 2, could not be rolled out: why"),
        ("rolled_back", "the last one, of run 2, was rolled back: why"),
        ("promoted", "the model of run 2 went live"),
    ],
)
def test_the_last_rollout_s_end_is_told_and_why(outcome: Any, said: str) -> None:
    found = promotion(loop(rollout=rolling("done", outcome=outcome, decision="why")))
    assert found.missing == (Missing("challenger", f"No challenger is measured; {said}"),)


def test_the_champion_s_part_of_the_measuring_is_told_once_the_challenger_has_answered() -> None:
    made = loop(champion=champion(run=1), rollout=rolling(evaluated={"green": 40, "blue": 3}))
    [missing] = traffic(made).missing
    assert missing.reason == "Run 2 has answered 40 of 40 holdout images, the champion 3 (step evaluate)"


def test_a_model_that_waits_for_the_rollout_under_way_is_told() -> None:
    made = loop(runs=[run(3, rollout="pending", model=MODEL)], rollout=rolling("smoke"))
    assert traffic(made).missing[1] == Missing(
        "next", "The model of run 3 waits until this rollout is over", {"run": 3}
    )


RESTING = Resting(kind="remove", since=NOW, phase="asleep", reason="nobody asked")


def test_an_endpoint_that_rests_is_told() -> None:
    found = traffic(loop(champion=champion(run=1), resting=RESTING))
    said = ("The champion's endpoint rests: nobody asked", "No model waits to be rolled out")
    assert (found.acts, tuple(m.reason for m in found.missing)) == (False, said)


def test_a_champion_that_is_brought_back_is_told() -> None:
    lost = Guard(trouble="gone", reason="the slot is gone", repair=Repair(trouble="gone", since=NOW))
    found = traffic(loop(champion=champion(run=1), guard=lost))
    assert [(m.rule, m.reason) for m in found.missing] == [
        ("guard", "The champion is being brought back: the slot is gone"),
        ("candidate", "No model waits to be rolled out"),
    ]
    made = loop(champion=champion(run=1), guard=lost, runs=[run(2, rollout="pending", model=MODEL)])
    said = "The champion is being brought back first, and the model that waits is deployed then: the slot is gone"
    assert [m.reason for m in traffic(made).missing] == [said]


def test_a_model_that_waits_for_the_endpoint_to_wake_does_not_begin_now() -> None:
    waking = RESTING.model_copy(update={"phase": "waking", "reason": "a rollout waits"})
    said = "The champion's endpoint is waking first, and the model that waits is deployed then: a rollout waits"
    made = loop(champion=champion(run=1), resting=waking, runs=[run(2, rollout="pending", model=MODEL)])
    assert [m.reason for m in traffic(made).missing] == [said]
    order = RolloutOrder(kind="promote", run=4, order=ADA)
    assert [m.reason for m in traffic(loop(champion=champion(run=1), resting=waking, rollout_next=order)).missing] == [
        said
    ]


@pytest.mark.parametrize(
    ("changes", "said", "numbers"),
    [
        ({}, "0 of 40 holdout images", {"have": 0, "needed": 40}),
        ({"evaluated": {"green": 12, "blue": 30}}, "12 of 40 holdout images", {"have": 12, "needed": 40}),
        ({"holdout_images": 0}, "no holdout image", {"have": 0, "needed": 0}),
    ],
)
def test_how_far_a_challenger_is_measured(changes: dict[str, Any], said: str, numbers: dict[str, int]) -> None:
    made = loop(rollout=rolling(**changes))
    missing = (Missing("measured", f"Run 2 has answered {said} (step evaluate)", numbers),)
    assert promotion(made).missing == traffic(made).missing == missing


@pytest.mark.parametrize(
    ("approval", "until"),
    [(None, ""), (Approval(id="a", asked=NOW, expires=NOW + timedelta(hours=72)), " until 2026-01-04 12:00 UTC")],
)
def test_a_yes_that_is_waited_for(approval: Approval | None, until: str) -> None:
    made = loop(rollout=rolling("approve", decision="better", approval=approval))
    missing = (Missing("approval", f"Somebody's yes to run 2 is waited for{until}"),)
    assert promotion(made) == Explanation("promotion", "better", missing)
    assert traffic(made) == Explanation("rollout", "Run 2 is rolled out in slot green: approve", missing)


@pytest.mark.parametrize("step", ["decide", "mirror", "canary", "shift", "keep"])
def test_after_the_decision_nothing_is_lacking_for_promotion(step: RolloutStep) -> None:
    assert promotion(loop(rollout=rolling(step, decision="better"))) == Explanation("promotion", "better")


WAITING = [run(2, rollout="pending", model=MODEL)]


@pytest.mark.parametrize(
    ("made", "says", "missing"),
    [
        (loop(runs=WAITING), "The model of run 2 would be deployed as the first model", ()),
        (
            loop(runs=WAITING, champion=champion()),
            "The model of run 2 would be deployed beside the champion",
            (),
        ),
        (
            loop(rollout_next=RolloutOrder(kind="promote", run=4, order=ADA)),
            "Run 4 goes live: promote was asked for by Ada: lunch",
            (),
        ),
        (loop(), "No rollout would start now", (Missing("candidate", "No model waits to be rolled out"),)),
        (
            loop(runs=[run(1, rollout="promoted", model=MODEL)], pause=ADA),
            "No rollout would start now",
            (
                Missing("candidate", "No model waits to be rolled out"),
                Missing("paused", "The loop is paused by Ada: lunch"),
            ),
        ),
        (
            loop(runs=WAITING, pause=ADA),
            "No rollout would start now",
            (Missing("paused", "The loop is paused by Ada: lunch"),),
        ),
    ],
)
def test_whether_a_rollout_would_begin(made: LoopState, says: str, missing: tuple[Missing, ...]) -> None:
    assert traffic(made) == Explanation("rollout", says, missing)


@pytest.mark.parametrize(
    ("watched", "live", "said"),
    [
        ({}, True, "0 requests, fewer than the 20 that tell something"),
        (
            {"green": Watched(requests=30, errors=1), "blue": Watched(requests=300, errors=9)},
            True,
            "30 requests, 1 failed; champion: 300 requests, 9 failed",
        ),
        ({"green": Watched(requests=30, errors=1)}, False, "30 requests, 1 failed; champion: 0 requests, 0 failed"),
    ],
)
def test_a_canary(watched: dict[str, Watched], live: bool, said: str) -> None:
    health = {"min_requests": 20, "max_error_rate": 0.05}
    made = loop({"rollout": {"canary": [10, 50], "bake_seconds": 90, "health": health}})
    made.champion = champion() if live else None
    made.rollout = rolling("canary", share=10, watched_since=NOW, watched=watched)
    reason = f"10 % of the predictions go to run 2 until 12:01:30 UTC; {said}"
    assert traffic(made).missing == (Missing("canary", reason, {"share": 10, "plan": [10, 50]}),)


def test_a_canary_that_nobody_watches_yet_has_no_end() -> None:
    made = loop({"rollout": {"canary": [10]}}, rollout=rolling("canary", share=10))
    [missing] = traffic(made).missing
    assert missing.reason.startswith("10 % of the predictions go to run 2; 0 requests, fewer than the ")


@pytest.mark.parametrize(("since", "until"), [(None, ""), (NOW, " until 12:30:00 UTC")])
def test_a_window_for_a_rollback(since: Any, until: str) -> None:
    made = loop({"rollout": {"rollback_window_minutes": 30}}, rollout=rolling("keep", watched_since=since))
    reason = f"Run 2 is live; the old slot is kept for a rollback{until}"
    assert traffic(made).missing == (Missing("keep", reason),)


def test_a_hold_comes_before_what_the_step_waits_for() -> None:
    made = loop(rollout=rolling("shift", held=ADA))
    assert traffic(made).missing == (
        Missing("held", "The traffic is held by Ada: lunch"),
        Missing("shift", "Azure ML is moving the traffic"),
    )


@pytest.mark.parametrize("step", [s for s in get_args(RolloutStep) if s != "done"])
def test_each_step_has_one_reason_under_a_name_that_programs_know(step: RolloutStep) -> None:
    [missing] = traffic(loop(rollout=rolling(step))).missing
    assert missing.rule == {"evaluate": "measured", "approve": "approval"}.get(step, step)
    assert missing.reason[0].isupper() or step == "canary"
    assert bool(missing.numbers) is (step in {"evaluate", "canary"})
