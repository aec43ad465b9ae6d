from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.promote import METRICS, Evidence, decide
from services.loop_config import Task
from services.rollout.metrics import measure
from services.rollout_config import Promotion
from services.state import Interval

DETECTION: Task = "object_detection"


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


def sure(low: float, high: float = 0.5) -> Evidence:
    return Evidence(interval=Interval(low=low, high=high, better=0.99, level=0.95, resamples=1000))


@pytest.mark.parametrize(
    ("asked", "low", "promoted"), [(False, -0.01, True), (True, -0.01, False), (True, 0.0, False), (True, 0.001, True)]
)
def test_noise_promotes_only_where_it_may(asked: bool, low: float, promoted: bool) -> None:
    policy = Promotion(require_significance=asked)
    decision = decide(policy, DETECTION, scores(0.9), scores(0.8), evidence=sure(low))
    assert decision.act is promoted
    assert f"95% interval {low:+.4f} to +0.5000" in decision.reason
    assert ("not more than noise" in decision.reason) is (low <= 0)


def test_an_unknown_sureness_is_none() -> None:
    policy = Promotion(require_significance=True)
    decision = decide(policy, DETECTION, scores(0.9), scores(0.8))
    assert not decision.act
    assert "could not be measured" in decision.reason
    assert decide(policy, DETECTION, scores(0.9), None).act  # the first model has nothing to differ from


def test_a_sure_loss_is_no_reason_to_promote() -> None:
    assert not decide(Promotion(), DETECTION, scores(0.7), scores(0.8), evidence=sure(0.01)).act


PER_CLASS = {"nut": {"mean_average_precision": 0.5}, "bolt": {"mean_average_precision": 0.7}}


@pytest.mark.parametrize(
    ("floors", "said"),
    [
        ({"nut": 0.5}, ""),
        ({"nut": 0.51}, "class `nut` reaches 0.5000 of its floor of 0.51"),
        ({"*": 0.6}, "class `nut` reaches 0.5000 of its floor of 0.6"),
        ({"*": 0.8, "nut": 0.1}, "class `bolt` reaches 0.7000 of its floor of 0.8"),
        ({"washer": 0.1}, "class `washer` has no example"),
        ({"*": 0.5}, ""),
    ],
)
@pytest.mark.parametrize("champion", [None, scores(0.1)])
def test_every_class_has_to_reach_its_floor(
    floors: dict[str, float], said: str, champion: dict[str, float] | None
) -> None:
    decision = decide(
        Promotion(class_floors=floors), DETECTION, scores(0.6), champion, evidence=Evidence(per_class=PER_CLASS)
    )
    assert decision.act is (said == "")
    assert said in decision.reason


def test_floors_of_classes_are_held_against_their_f1_where_the_metric_is_of_images() -> None:
    evidence = Evidence(per_class={"nut": {"f1": 0.4, "recall": 1.0}})
    policy = Promotion(class_floors={"nut": 0.5})
    assert not decide(policy, "image_classification", {"accuracy": 0.9}, None, evidence=evidence).act


@pytest.mark.parametrize(("took", "promoted"), [(99.0, True), (100.0, True), (100.1, False), (None, False)])
def test_a_slow_challenger_is_not_promoted(took: float | None, promoted: bool) -> None:
    policy = Promotion(max_latency_ms=100)
    decision = decide(policy, DETECTION, scores(0.9), None, evidence=Evidence(latency_ms=took))
    assert decision.act is promoted
    assert promoted or "at most 100 ms is allowed" in decision.reason
