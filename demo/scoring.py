"""Judges the live model on what was held out, through the app's own HTTP route."""

from __future__ import annotations

import contextlib
import io
import json
import mimetypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from demo.examples import Box, Example, coco
from devtools.client import Client

ENOUGH_OVERLAP = 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """One predicted object; the box in pixels."""

    name: str
    score: float
    box: Box


@dataclass(frozen=True, slots=True)
class Marks:
    """COCO's two usual figures over all held-out images."""

    mean_average_precision: float
    map50: float
    images: int


def predict(client: Client, loop: str, example: Example) -> list[Found]:
    """What the champion finds, surest first."""
    answer = json.loads(client.predict(loop, example.data, content_type(example)))
    found = [Found(p["label"], float(p["score"]), _box(p["box"])) for p in answer["predictions"]]
    return sorted(found, key=lambda f: -f.score)


def content_type(example: Example) -> str:
    return mimetypes.guess_type(example.name.lower())[0] or "image/jpeg"


def _box(box: dict[str, float]) -> Box:
    return box["x1"], box["y1"], box["x2"], box["y2"]


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return width * height / (sum(areas) - width * height)


def is_right(found: Found, example: Example) -> bool:
    """Whether this is on the image, there."""
    return any(t.name == found.name and overlap(t.box, found.box) >= ENOUGH_OVERLAP for t in example.things)


def judge(client: Client, loop: str, examples: Sequence[Example], done: Callable[[int], None]) -> Marks:
    """Predict every image and compare by pycocotools; `done` hears how many are predicted."""
    truth = coco(examples)
    numbers = {c["name"]: c["id"] for c in truth["categories"]}
    results: list[dict[str, Any]] = []
    for image, example in enumerate(examples, 1):
        found = [f for f in predict(client, loop, example) if f.name in numbers]
        results += [{"image_id": image, "category_id": numbers[f.name], **_result(f)} for f in found]
        done(image)
    return _marks(truth, results, len(examples))


def _result(found: Found) -> dict[str, Any]:
    left, top, right, bottom = found.box
    return {"bbox": [left, top, right - left, bottom - top], "score": found.score}


def _marks(truth: dict[str, Any], results: list[dict[str, Any]], images: int) -> Marks:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not results or not truth["annotations"]:
        return Marks(0.0, 0.0, images)
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {"info": {}, **truth}
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return Marks(float(evaluation.stats[0]), float(evaluation.stats[1]), images)
