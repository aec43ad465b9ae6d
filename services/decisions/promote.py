"""Whether a challenger replaces the champion. Both were measured on the same holdout by the same code; ties lose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.decisions.decision import Decision
from services.loop_config import Task
from services.rollout_config import Promotion
from services.state import Interval

METRICS: Mapping[Task, tuple[str, ...]] = {
    "object_detection": ("mean_average_precision", "map50"),
    "instance_segmentation": ("mean_average_precision", "map50"),
    "image_classification": ("accuracy", "macro_f1"),
    "image_classification_multilabel": ("iou", "macro_f1"),
}
"""What the evaluation measures; the first is what is compared where loop.yaml names none."""

ROUNDING = 1e-9
"""Differences smaller than this are of arithmetic, not of models."""

FEWEST_IMAGES = 6
"""Of fewer, not even one model being better on each is beyond chance at 95 % (sign test: 2 / 2**5 is 6 %), while draws
with replacement of very few images agree with each other and would call any difference sure."""

Scores = Mapping[str, float]
ANY_CLASS = "*"
"""In `class_floors`: every class that could be measured and has no floor of its own."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known beside the scores."""

    per_class: Mapping[str, Scores] = field(default_factory=dict)
    """The challenger's metrics by class; what has no example is left out."""
    latency_ms: float | None = None
    """The challenger's 95th percentile for one image."""
    interval: Interval | None = None
    """How sure the difference of the compared metric is."""
    images: int | None = None
    """On how many images both were measured."""


def metric_of(policy: Promotion, task: Task) -> str:
    """The metric that is compared."""
    return policy.metric or METRICS[task][0]


def decide(
    policy: Promotion,
    task: Task,
    challenger: Scores,
    champion: Scores | None,
    unopposed: str = "",
    evidence: Evidence = Evidence(),
) -> Decision:
    """Promote or not, with the numbers: better by the margin, and no floor, ceiling or doubt in the way.

    `champion` is None where none could be measured; `unopposed` then says why, for the reason.
    """
    metric = metric_of(policy, task)
    if metric not in METRICS[task]:
        return Decision(
            False, f"{metric} is not measured for {task}: promotion.metric may be {', '.join(METRICS[task])}"
        )
    score = challenger.get(metric, math.nan)
    if not math.isfinite(score):
        return Decision(False, f"The challenger's {metric} could not be measured on the holdout")
    if champion is None:
        compared = _first(policy, metric, score, unopposed)
    else:
        compared = _against(policy, metric, score, champion.get(metric, math.nan), evidence)
    against = [*_below_floors(policy, metric, evidence), *_too_slow(policy, evidence)]
    act = compared.act and not against
    return Decision(act, "; ".join([compared.reason, *against]))


def _first(policy: Promotion, metric: str, score: float, unopposed: str) -> Decision:
    """A model that got nothing right is no model, whatever the minimum."""
    said = f"{metric} {score:.4f}, {unopposed or 'there is no champion yet'}, minimum {policy.minimum:g}"
    enough = score > ROUNDING and score >= policy.minimum - ROUNDING
    return Decision(enough, said)


def _against(policy: Promotion, metric: str, score: float, best: float, evidence: Evidence) -> Decision:
    if not math.isfinite(best):
        return Decision(False, f"The champion's {metric} could not be measured on the holdout")
    gain = score - best
    said = f"{metric}: challenger {score:.4f}, champion {best:.4f}, {gain:+.4f}; needed more than 0"
    if policy.margin:
        said = f"{said} and at least {policy.margin:+g}"
    is_sure, how_sure = _sureness(policy, evidence)
    enough = gain > ROUNDING and gain >= policy.margin - ROUNDING
    return Decision(enough and is_sure, said + how_sure)


def _sureness(policy: Promotion, evidence: Evidence) -> tuple[bool, str]:
    """Whether the difference is more than noise, or need not be, and what to say of it."""
    interval, asked, few = evidence.interval, policy.require_significance, evidence.images
    if interval is None and few is not None and few < FEWEST_IMAGES:
        wanted = ", and promotion.require_significance asks for that" if asked else ""
        return not asked, f"; {few} validation images are too few to tell it from noise{wanted}"
    if interval is None:
        return not asked, "; how sure the difference is could not be measured" if asked else ""
    is_sure = interval.low > 0
    said = f"; {interval.level:.0%} interval {interval.low:+.4f} to {interval.high:+.4f}"
    verdict = "more than noise" if is_sure else "not more than noise"
    asked_for = ", and promotion.require_significance asks for that" if policy.require_significance else ""
    return is_sure or not policy.require_significance, f"{said}: {verdict}{'' if is_sure else asked_for}"


def _below_floors(policy: Promotion, metric: str, evidence: Evidence) -> list[str]:
    """Every class that misses its floor; one with a floor of its own that could not be measured does."""
    every = policy.class_floors.get(ANY_CLASS, 0.0)
    seen = [name for name, scores in evidence.per_class.items() if _of_class(scores, metric) is not None]
    floors = dict.fromkeys(seen, every) | dict(policy.class_floors)
    floors.pop(ANY_CLASS, None)
    said = []
    for name, floor in sorted(floors.items()):
        measured = _of_class(evidence.per_class.get(name, {}), metric)
        if measured is None:
            said.append(f"class `{name}` has no example to hold its floor of {floor:g} against")
        elif measured < floor - ROUNDING:
            said.append(f"class `{name}` reaches {measured:.4f} of its floor of {floor:g}")
    return said


def _of_class(scores: Scores, metric: str) -> float | None:
    """What a class reaches; None without an example of it: it has an F1 of 0 where it was only said wrongly."""
    only_said = "precision" in scores and "recall" not in scores
    return None if only_said else scores.get(metric, scores.get("f1"))


def _too_slow(policy: Promotion, evidence: Evidence) -> list[str]:
    most, took = policy.max_latency_ms, evidence.latency_ms
    if most is None or (took is not None and took <= most):
        return []
    if took is None:
        return [f"latency could not be measured, at most {most:g} ms is allowed"]
    return [f"95 % of images take up to {took:.0f} ms, at most {most:g} ms is allowed"]
