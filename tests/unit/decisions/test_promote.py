from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.promote import METRICS, decide
from services.loop_config import Promotion
from services.rollout.metrics import measure

DETECTION = "object_detection"


def scores(value: float) -> dict[str, float]:
    return {"mean_average_precision": value}


@pytest.mark.parametrize(
    ("challenger", "champion", "margin", "promoted"),
    [
        (0.81, 0.80, 0.0, True),
        (0.80, 0.80, 0.0, False),  # a tie loses
        (0.79, 0.80, 0.0, False),
        (0.85, 0.80, 0.05, True),  # 0.85 - 0.80 is 0.04999… in floating point
        (0.8499, 0.80, 0.05, False),
        (0.80, 0.80, 0.05, False),
        (0.8 + 1e-12, 0.80, 0.0, False),  # arithmetic, not a better model
        (1.0, 0.0, 1.0, True),
    ],
)
def test_a_challenger_has_to_be_better_by_the_margin(
    challenger: float, champion: float, margin: float, promoted: bool
) -> None:
    decision = decide(Promotion(margin=margin), DETECTION, scores(challenger), scores(champion))
    assert decision.act is promoted
    assert f"challenger {challenger:.4f}" in decision.reason
    assert f"champion {champion:.4f}" in decision.reason
    assert (f"at least {margin:+g}" in decision.reason) is bool(margin)


@pytest.mark.parametrize(
    ("score", "minimum", "promoted"), [(0.5, 0.5, True), (0.49, 0.5, False), (0.01, 0.0, True), (0.0, 0.0, False)]
)
def test_the_first_model_has_to_reach_the_minimum(score: float, minimum: float, promoted: bool) -> None:
    decision = decide(Promotion(minimum=minimum), DETECTION, scores(score), None)
    assert decision.act is promoted
    assert decision.reason == f"mean_average_precision {score:.4f}, there is no champion yet, minimum {minimum:g}"


def test_why_there_is_no_opponent_is_said() -> None:
    assert (
        "the champion's slot is gone"
        in decide(Promotion(), DETECTION, scores(1), None, "the champion's slot is gone").reason
    )


def test_the_minimum_is_for_the_first_model_only() -> None:
    assert decide(Promotion(minimum=0.9), DETECTION, scores(0.6), scores(0.5)).act


def test_another_metric_may_decide() -> None:
    challenger = {"mean_average_precision": 0.4, "map50": 0.9}
    champion = {"mean_average_precision": 0.5, "map50": 0.8}
    assert not decide(Promotion(), DETECTION, challenger, champion).act
    assert decide(Promotion(metric="map50"), DETECTION, challenger, champion).act


def test_a_metric_of_another_task_promotes_nobody() -> None:
    decision = decide(Promotion(metric="accuracy"), DETECTION, {"accuracy": 1.0}, None)
    assert not decision.act
    assert "accuracy is not measured for object_detection" in decision.reason


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_what_was_not_measured_promotes_nobody(score: float) -> None:
    assert not decide(Promotion(), DETECTION, scores(score), None).act
    assert not decide(Promotion(), DETECTION, {}, scores(0.1)).act
    assert not decide(Promotion(), DETECTION, scores(0.9), scores(score)).act
    assert not decide(Promotion(), DETECTION, scores(0.9), {}).act


def test_the_metrics_are_those_that_the_evaluation_measures() -> None:
    from services.datasets.reading import HoldoutImage
    from services.labels.annotation import Annotation
    from services.rollout.answers import Found

    images = [HoldoutImage("a.jpg", 10, 10, (Annotation("nut", (0, 0, 1, 1)),))]
    for task, metrics in METRICS.items():
        found = measure(task, ["nut"], images, [[Found("nut", 0.9, (0, 0, 1, 1))]])
        assert dict(found.overall) == dict.fromkeys(metrics, pytest.approx(1.0))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_never_both_ways(one: float, other: float, margin: float) -> None:
    policy = Promotion(margin=margin)
    forth = decide(policy, DETECTION, scores(one), scores(other)).act
    back = decide(policy, DETECTION, scores(other), scores(one)).act
    assert not (forth and back)
    if forth:
        assert one > other
        assert one - other >= margin - 1e-8
