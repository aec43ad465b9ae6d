"""Whether a challenger replaces the champion. Both were measured on the same holdout by the same code; ties lose."""

from __future__ import annotations

import math
from collections.abc import Mapping

from services.decisions.decision import Decision
from services.loop_config import Promotion, Task

METRICS: Mapping[Task, tuple[str, ...]] = {
    "object_detection": ("mean_average_precision", "map50"),
    "instance_segmentation": ("mean_average_precision", "map50"),
    "image_classification": ("accuracy", "macro_f1"),
    "image_classification_multilabel": ("iou", "macro_f1"),
}
"""What the evaluation measures; the first is what is compared where loop.yaml names none."""

ROUNDING = 1e-9
"""Differences smaller than this are of arithmetic, not of models."""

Scores = Mapping[str, float]


def metric_of(policy: Promotion, task: Task) -> str:
    """The metric that is compared."""
    return policy.metric or METRICS[task][0]


def decide(policy: Promotion, task: Task, challenger: Scores, champion: Scores | None, unopposed: str = "") -> Decision:
    """Promote or not, with both numbers.

    `champion` is None where none could be measured; `unopposed` then says why, for the reason.
    """
    metric = metric_of(policy, task)
    if metric not in METRICS[task]:
        return _no(metric, f"{metric} is not measured for {task}: promotion.metric may be {', '.join(METRICS[task])}")
    score = challenger.get(metric, math.nan)
    if not math.isfinite(score):
        return _no(metric, f"The challenger's {metric} could not be measured on the holdout")
    if champion is None:
        return _first(policy, metric, score, unopposed)
    return _against(policy, metric, score, champion.get(metric, math.nan))


def _first(policy: Promotion, metric: str, score: float, unopposed: str) -> Decision:
    """A model that got nothing right is no model, whatever the minimum."""
    said = f"{metric} {score:.4f}, {unopposed or 'there is no champion yet'}, minimum {policy.minimum:g}"
    enough = score > ROUNDING and score >= policy.minimum - ROUNDING
    return Decision(enough, said, facts={"metric": metric, "challenger": score})


def _against(policy: Promotion, metric: str, score: float, best: float) -> Decision:
    facts: dict[str, object] = {"metric": metric, "challenger": score, "champion": best, "margin": policy.margin}
    if not math.isfinite(best):
        return _no(metric, f"The champion's {metric} could not be measured on the holdout")
    gain = score - best
    said = f"{metric}: challenger {score:.4f}, champion {best:.4f}, {gain:+.4f}; needed more than 0"
    if policy.margin:
        said = f"{said} and at least {policy.margin:+g}"
    return Decision(gain > ROUNDING and gain >= policy.margin - ROUNDING, said, facts=facts)


def _no(metric: str, reason: str) -> Decision:
    return Decision(False, reason, facts={"metric": metric})
