"""Reads what a slot answers for an image; every answer is checked for its shape before it counts.

Contract: https://learn.microsoft.com/azure/machine-learning/reference-automl-images-schema#online-scoring-data-format
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.errors import UpstreamRefused
from services.labels.annotation import Box
from services.loop_config import Task

_CORNERS = ("topX", "topY", "bottomX", "bottomY")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that a model found: a class with its score, and a box in shares of the image where the task has any."""

    label: str
    score: float
    box: Box | None = None


def read_answer(task: Task, answer: Mapping[str, object]) -> list[Found]:
    """What one answer says.

    Raises:
        UpstreamRefused: it is not of the task's shape; the same image would be answered so again.
    """
    return _boxes(answer) if task in ("object_detection", "instance_segmentation") else _classes(answer)


def _boxes(answer: Mapping[str, object]) -> list[Found]:
    boxes = answer.get("boxes")
    if not isinstance(boxes, list):
        raise _wrong("a list `boxes`", answer)
    return [found for found in map(_box, boxes) if found is not None]


def _box(one: object) -> Found | None:
    """None for a box without area, which some models emit at the border."""
    if not isinstance(one, dict) or not isinstance(one.get("box"), dict) or not isinstance(one.get("label"), str):
        raise _wrong("boxes with `box`, `label` and `score`", one)
    left, top, right, bottom = (min(max(_number(one["box"].get(corner), one), 0.0), 1.0) for corner in _CORNERS)
    if right <= left or bottom <= top:
        return None
    return Found(one["label"], _number(one.get("score"), one), (left, top, right, bottom))


def _classes(answer: Mapping[str, object]) -> list[Found]:
    labels, probs = answer.get("labels"), answer.get("probs")
    if not isinstance(labels, list) or not isinstance(probs, list) or len(labels) != len(probs) or not labels:
        raise _wrong("lists `labels` and `probs` of one length", answer)
    return [Found(str(label), _number(prob, answer)) for label, prob in zip(labels, probs, strict=True)]


def _number(value: object, whole: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong("finite numbers", whole)
    return float(value)


def _wrong(expected: str, found: object) -> UpstreamRefused:
    return UpstreamRefused(f"The slot's answer has another shape: expected {expected}, found {repr(found)[:120]}")


def pack(found: list[Found]) -> list[list[Any]]:
    """For storage: [label, score, left, top, right, bottom], or [label, score]."""
    return [[f.label, round(f.score, 6), *(round(c, 6) for c in f.box or ())] for f in found]


def unpack(rows: list[list[Any]]) -> list[Found]:
    """The reverse of `pack`."""
    return [Found(row[0], row[1], (row[2], row[3], row[4], row[5]) if len(row) == 6 else None) for row in rows]
