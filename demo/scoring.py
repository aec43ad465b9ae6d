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
    """One predicted object, its box in pixels; or a class of the whole image, without a box."""

    name: str
    score: float
    box: Box | None


@dataclass(frozen=True, slots=True)
class Marks:
    """The usual figures of the task over all held-out images, by their names."""

    figures: dict[str, float]
    images: int

    @property
    def told(self) -> str:
        return ", ".join(f"{name} {value:.3f}" for name, value in self.figures.items())


def predict(client: Client, loop: str, example: Example) -> list[Found]:
    """What the champion finds, surest first."""
    answer = json.loads(client.predict(loop, example.data, content_type(example)))
    found = [Found(p["label"], float(p["score"]), _box(p.get("box"))) for p in answer["predictions"]]
    return sorted(found, key=lambda f: -f.score)


def content_type(example: Example) -> str:
    return mimetypes.guess_type(example.name.lower())[0] or "image/jpeg"


def _box(box: dict[str, float] | None) -> Box | None:
    return (box["x1"], box["y1"], box["x2"], box["y2"]) if box else None


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
    return any(t.name == found.name and _is_there(t.box, found.box) for t in example.things)


def _is_there(known: Box | None, found: Box | None) -> bool:
    if known is None or found is None:
        return known is found
    return overlap(known, found) >= ENOUGH_OVERLAP


def judge(client: Client, loop: str, examples: Sequence[Example], done: Callable[[int], None]) -> Marks:
    """Predict every image and compare; boxes by pycocotools. `done` hears how many are predicted."""
    if all(thing.box is None for example in examples for thing in example.things):
        return _judge_classes(client, loop, examples, done)
    truth = coco(examples)
    numbers = {c["name"]: c["id"] for c in truth["categories"]}
    results: list[dict[str, Any]] = []
    for image, example in enumerate(examples, 1):
        found = [(f, f.box) for f in predict(client, loop, example) if f.name in numbers]
        results += [{"image_id": image, "category_id": numbers[f.name], **_result(f, box)} for f, box in found if box]
        done(image)
    return _marks(truth, results, len(examples))


def _judge_classes(client: Client, loop: str, examples: Sequence[Example], done: Callable[[int], None]) -> Marks:
    """The share of images whose surest class is right."""
    right = 0
    for number, example in enumerate(examples, 1):
        right += any(is_right(f, example) for f in predict(client, loop, example)[:1])
        done(number)
    return Marks({"accuracy": right / len(examples)}, len(examples))


def _result(found: Found, box: Box) -> dict[str, Any]:
    left, top, right, bottom = box
    return {"bbox": [left, top, right - left, bottom - top], "score": found.score}


def _marks(truth: dict[str, Any], results: list[dict[str, Any]], images: int) -> Marks:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not results or not truth["annotations"]:
        return Marks({"mAP50": 0.0, "mAP": 0.0}, images)
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {"info": {}, **truth}
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return Marks({"mAP50": float(evaluation.stats[1]), "mAP": float(evaluation.stats[0])}, images)
