"""From a detector's raw output to boxes: threshold, non-maximum suppression, most confident first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Detections = tuple[FloatArray, FloatArray, NDArray[np.intp]]
OVERLAP = 0.6
CANDIDATES = 400
MOST_BOXES = 100


def suppress(boxes: FloatArray, scores: FloatArray, overlap: float = OVERLAP) -> NDArray[np.intp]:
    """Indexes of boxes (n, 4) that no better box overlaps by more than `overlap`; best first."""
    order = scores.argsort()[::-1]
    areas = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    kept: list[np.intp] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        inner = (high - low).clip(0).prod(axis=1)
        union = areas[best] + areas[rest] - inner + 1e-9
        order = rest[inner / union <= overlap]
    return np.array(kept, dtype=np.intp)


def detections(
    boxes: FloatArray, scores: FloatArray, threshold: float
) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
    """Boxes (m, 4), scores (m,) and classes (m,) of one image from (cells, 4) and (cells, classes)."""
    cells, classes = np.nonzero(scores > threshold)
    confident = scores[cells, classes]
    if confident.size > CANDIDATES:
        best = np.argpartition(confident, -CANDIDATES)[-CANDIDATES:]
        cells, classes, confident = cells[best], classes[best], confident[best]
    found = boxes[cells].clip(0.0, 1.0)
    # moved apart by class, boxes of different classes never overlap
    kept = suppress(found + 2.0 * classes[:, None].astype(np.float32), confident)[:MOST_BOXES]
    return found[kept], confident[kept], classes[kept]
