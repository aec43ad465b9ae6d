"""What the gate says, word for word and with all its numbers: it is what stands on the timeline and on the model card."""

from __future__ import annotations

from typing import Any

import pytest

from services.decisions.promote import ROUNDING, Evidence, decide, metric_of
from services.loop_config import Task
from services.rollout_config import Promotion
from services.state import Interval

DETECTION: Task = "object_detection"
CLASSIFICATION: Task = "image_classification"


def scored(value: float) -> dict[str, float]:
    return {"mean_average_precision": value}


def between(low: float, high: float = 0.2) -> Evidence:
    return Evidence(interval=Interval(low=low, high=high, better=0.9, level=0.95, resamples=1000))


BETTER = "mean_average_precision: challenger 0.9000, champion 0.8000, +0.1000; needed more than 0"
ASKED = {"require_significance": True}


@pytest.mark.parametrize(
    ("policy", "evidence", "acts", "said"),
    [
        ({}, Evidence(), True, BETTER),
        ({"margin": 0.05}, Evidence(), True, f"{BETTER} and at least +0.05"),
        ({"margin": 0.2}, Evidence(), False, f"{BETTER} and at least +0.2"),
        ({}, between(0.001), True, f"{BETTER}; 95% interval +0.0010 to +0.2000: more than noise"),
        (ASKED, between(0.001), True, f"{BETTER}; 95% interval +0.0010 to +0.2000: more than noise"),
        ({}, between(0.0), True, f"{BETTER}; 95% interval +0.0000 to +0.2000: not more than noise"),
        (
            ASKED,
            between(-0.01),
            False,
            f"{BETTER}; 95% interval -0.0100 to +0.2000: not more than noise, and promotion.require_significance asks for that",
        ),
        (ASKED, Evidence(), False, f"{BETTER}; how sure the difference is could not be measured"),
        (ASKED, Evidence(images=6), False, f"{BETTER}; how sure the difference is could not be measured"),
        ({}, Evidence(images=5), True, f"{BETTER}; 5 validation images are too few to tell it from noise"),
        (
            ASKED,
            Evidence(images=1),
            False,
            (
                f"{BETTER}; 1 validation images are too few to tell it from noise, "
                "and promotion.require_significance asks for that"
            ),
        ),
        (
            {"max_latency_ms": 80, "class_floors": {"nut": 0.5, "bolt": 0.5}},
            Evidence(per_class={"nut": scored(0.4)}, latency_ms=90.4),
            False,
            (
                f"{BETTER}; class `bolt` has no example to hold its floor of 0.5 against; "
                "class `nut` reaches 0.4000 of its floor of 0.5; 95 % of images take up to 90 ms, at most 80 ms is allowed"
            ),
        ),
        (
            {"class_floors": {"nut": 0.1, "*": 0.5}},
            Evidence(per_class={n: {"f1": 0.0, "precision": 0.0} for n in ("nut", "bolt")}),
            False,
            f"{BETTER}; class `nut` has no example to hold its floor of 0.1 against",
        ),
        (
            {"max_latency_ms": 80},
            Evidence(),
            False,
            f"{BETTER}; latency could not be measured, at most 80 ms is allowed",
        ),
        ({"max_latency_ms": 80}, Evidence(latency_ms=80), True, BETTER),
    ],
)
def test_a_challenger_beside_a_champion(policy: dict[str, Any], evidence: Evidence, acts: bool, said: str) -> None:
    found = decide(Promotion(**policy), DETECTION, scored(0.9), scored(0.8), evidence=evidence)
    assert (found.act, found.reason) == (acts, said)


def test_a_first_model_says_why_it_has_no_opponent() -> None:
    found = decide(Promotion(minimum=0.25), DETECTION, scored(0.5), None, "the champion is of another task")
    assert (found.act, found.reason) == (
        True,
        "mean_average_precision 0.5000, the champion is of another task, minimum 0.25",
    )


@pytest.mark.parametrize(
    ("metric", "task", "challenger", "champion", "said"),
    [
        (
            "accuracy",
            DETECTION,
            {"accuracy": 1.0},
            None,
            "accuracy is not measured for object_detection: promotion.metric may be mean_average_precision, map50",
        ),
        ("map50", DETECTION, {}, None, "The challenger's map50 could not be measured on the holdout"),
        (
            None,
            DETECTION,
            scored(0.9),
            {},
            "The champion's mean_average_precision could not be measured on the holdout",
        ),
        (None, CLASSIFICATION, {"macro_f1": 1}, {}, "The challenger's accuracy could not be measured on the holdout"),
    ],
)
def test_what_cannot_be_measured_is_named(
    metric: Any, task: Task, challenger: dict[str, float], champion: dict[str, float] | None, said: str
) -> None:
    found = decide(Promotion(metric=metric), task, challenger, champion)
    assert (found.act, found.reason) == (False, said)


EVERY: tuple[tuple[Task, str], ...] = (
    ("object_detection", "mean_average_precision"),
    ("instance_segmentation", "mean_average_precision"),
    ("image_classification", "accuracy"),
    ("image_classification_multilabel", "iou"),
)


@pytest.mark.parametrize(("task", "metric"), EVERY)
def test_each_task_has_the_metric_that_is_compared_by_default(task: Task, metric: str) -> None:
    assert metric_of(Promotion(), task) == metric
    assert metric_of(Promotion(metric="macro_f1"), task) == "macro_f1"


@pytest.mark.parametrize(
    ("score", "minimum", "acts"),
    [
        (ROUNDING, 0.0, False),  # arithmetic, not a model that gets anything right
        (2 * ROUNDING, 0.0, True),
        (0.5 - ROUNDING, 0.5, True),
        (0.5 - 3 * ROUNDING, 0.5, False),
    ],
)
def test_a_first_model_s_border_is_wide_by_the_rounding(score: float, minimum: float, acts: bool) -> None:
    assert decide(Promotion(minimum=minimum), DETECTION, scored(score), None).act is acts


@pytest.mark.parametrize(
    ("gain", "margin", "acts"),
    [(ROUNDING, 0.0, False), (2 * ROUNDING, 0.0, True), (0.5 - ROUNDING, 0.5, True), (0.5 - 3 * ROUNDING, 0.5, False)],
)
def test_a_challenger_s_border_is_wide_by_the_rounding(gain: float, margin: float, acts: bool) -> None:
    assert decide(Promotion(margin=margin), DETECTION, scored(gain), scored(0.0)).act is acts


@pytest.mark.parametrize(
    ("scores", "acts"),
    [
        ({"f1": 0.5}, True),
        ({"f1": 0.4999}, False),
        ({"f1": 0.5 - ROUNDING}, True),
        ({"f1": 0.1, "accuracy": 0.5}, True),  # the compared metric comes first
        ({"recall": 1.0}, False),
    ],
)
def test_a_class_is_held_to_its_floor_by_the_compared_metric_else_by_its_f1(
    scores: dict[str, float], acts: bool
) -> None:
    policy = Promotion(class_floors={"nut": 0.5})
    found = decide(policy, CLASSIFICATION, {"accuracy": 0.9}, None, evidence=Evidence(per_class={"nut": scores}))
    assert found.act is acts
