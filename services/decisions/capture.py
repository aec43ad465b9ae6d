"""Whether a prediction is one that a person's label would teach the model something about."""

from __future__ import annotations

from collections.abc import Sequence

from services.loop_config import Capture, Task

DECIDED = 0.5
"""Of several classes at once, a class is found from this probability on."""


def doubt(policy: Capture, task: Task, found: Sequence[tuple[str, float]]) -> str:
    """Why the model is unsure, in a sentence; empty where it is not.

    `found` are labels and scores, the most certain first. Detection: a box whose score lies from `floor` to `below`.
    One class: the best two are closer than `margin`. Several: one is closer than `margin` to being found or not.
    """
    if task == "image_classification":
        return _close(policy, found[:2])
    low, high = (policy.floor, policy.below) if _has_boxes(task) else (DECIDED - policy.margin, DECIDED + policy.margin)
    unsure = [(label, score) for label, score in found if low <= score < high and _is_meant(policy, label)]
    if not unsure:
        return ""
    label, score = unsure[0]
    return f"{label} {score:.2f}: from {low:.2f} to {high:.2f} it is unsure; {len(unsure)} such"


def _close(policy: Capture, best: Sequence[tuple[str, float]]) -> str:
    if len(best) < 2 or not any(_is_meant(policy, label) for label, _ in best):
        return ""
    (first, high), (second, low) = best
    if high - low >= policy.margin:
        return ""
    return f"{first} {high:.2f} and {second} {low:.2f} are closer than {policy.margin:.2f}"


def _is_meant(policy: Capture, label: str) -> bool:
    return not policy.classes or label in policy.classes


def _has_boxes(task: Task) -> bool:
    return task in ("object_detection", "instance_segmentation")
