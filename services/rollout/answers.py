"""Reads what a slot answers for an image; every answer is checked for its shape before it counts.

Contract: https://learn.microsoft.com/azure/machine-learning/reference-automl-images-schema#online-scoring-data-format
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.errors import UpstreamRefused
from services.labels.annotation import Box, Polygon
from services.loop_config import Task

LEAST_NUMBERS = 6
"""Of an outline: three corners."""
_CORNERS = ("topX", "topY", "bottomX", "bottomY")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that a model found: a class with its score, and where, in shares of the image, if the task asks."""

    label: str
    score: float
    box: Box | None = None
    polygons: tuple[Polygon, ...] = ()
    """The outlines of its parts; none where the task has none, or the model said none."""


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
    outlines = _outlines(one.get("polygon") or [], one)
    return Found(one["label"], _number(one.get("score"), one), (left, top, right, bottom), outlines)


def _outlines(polygons: object, whole: object) -> tuple[Polygon, ...]:
    """Those with an area: of fewer than three corners none has any."""
    if not isinstance(polygons, list) or not all(isinstance(p, list) and len(p) % 2 == 0 for p in polygons):
        raise _wrong("`polygon` as a list of lists of x and y by turns", whole)
    cut = (tuple(min(max(_number(n, whole), 0.0), 1.0) for n in polygon) for polygon in polygons)
    return tuple(polygon for polygon in cut if len(polygon) >= LEAST_NUMBERS)


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
    return UpstreamRefused(f"The slot's answer has another shape: expected {expected}, found {json.dumps(found)[:120]}")


def pack(found: list[Found]) -> list[list[Any]]:
    """For storage: [label, score, left, top, right, bottom], with a list of outlines where there are any."""
    return [[f.label, round(f.score, 6), *(round(c, 6) for c in f.box or ()), *_packed(f.polygons)] for f in found]


def _packed(polygons: tuple[Polygon, ...]) -> list[list[list[float]]]:
    return [[[round(n, 5) for n in polygon] for polygon in polygons]] if polygons else []


def unpack(rows: list[list[Any]]) -> list[Found]:
    """The reverse of `pack`."""
    return [_unpacked(*row) for row in rows]


def _unpacked(label: str, score: float, *place: Any) -> Found:
    if len(place) < len(_CORNERS):
        return Found(label, score)
    left, top, right, bottom, *outlines = place
    return Found(label, score, (left, top, right, bottom), tuple(map(tuple, outlines[0])) if outlines else ())
