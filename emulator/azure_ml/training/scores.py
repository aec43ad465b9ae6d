"""Metrics on the validation set: COCO's mean average precision by pycocotools, accuracy, and mean IoU of label sets."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emulator.azure_ml.training.job import Metrics, Row

PIXELS = 1000.0
"""Boxes are scaled to a square of this side: COCO's areas and rounding are in pixels."""
KEPT_SCORE = 0.05
"""Guesses below it are neither judged nor answered."""
Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]


def mean_average_precision(rows: Sequence[Row], found: Sequence[Found], classes: int) -> Metrics:
    """COCO's mAP (IoU 0.50 to 0.95) and mAP at 0.50."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = [
        {"image_id": n, "category_id": label, **_box(np.array(box)), "iscrowd": 0}
        for n, row in enumerate(rows)
        for box, label in zip(row.boxes, row.labels, strict=True)
    ]
    guesses = [
        {"image_id": n, "category_id": int(label), "score": float(score), **_box(box)}
        for n, (boxes, scores, labels) in enumerate(found)
        for box, score, label in zip(boxes, scores, labels, strict=True)
    ]
    if not truth or not guesses:
        return {"mean_average_precision": 0.0, "map50": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco = COCO()
        coco.dataset = {
            "images": [{"id": n} for n in range(len(rows))],
            "annotations": [{**t, "id": n} for n, t in enumerate(truth, 1)],
            "categories": [{"id": n} for n in range(classes)],
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(guesses), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return {"mean_average_precision": float(judge.stats[0]), "map50": float(judge.stats[1])}


def _box(box: NDArray[np.float32]) -> dict[str, object]:
    x1, y1, x2, y2 = (float(v) * PIXELS for v in box)
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}


def accuracy(truth: NDArray[np.int64], scores: NDArray[np.float32]) -> Metrics:
    """Share of images whose best class is right."""
    return {"accuracy": float((scores.argmax(axis=1) == truth).mean())}


def mean_iou(truth: NDArray[np.float32], scores: NDArray[np.float32]) -> Metrics:
    """Mean over images of the intersection over union of the label sets, at a threshold of one half."""
    guess = scores >= 0.5
    inner = np.logical_and(guess, truth > 0).sum(axis=1)
    union = np.logical_or(guess, truth > 0).sum(axis=1)
    return {"iou": float(np.where(union == 0, 1.0, inner / np.maximum(union, 1)).mean())}
