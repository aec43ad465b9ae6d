"""COCO's mean average precision by `pycocotools`, and the same measured again on weighted images, for the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pycocotools.cocoeval import COCOeval

MOST_FOUND = 100
"""Things found that count, an image: the most certain ones."""
RECALLS = 101
CHUNK_NUMBERS = 2_000_000
"""So many numbers are held at once while images are weighted."""


def evaluate(
    images: Sequence[dict[str, Any]],
    names: Mapping[str, int],
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
    kind: str,
) -> COCOeval | None:
    """COCO's evaluation over all sizes of objects; None without anything to find.

    `images`, `truth` and `found` are of COCO's format, `names` has the category of each class; `kind` is bbox or segm.
    """
    if not truth:
        return None
    from pycocotools import coco as coco_module
    from pycocotools import cocoeval

    for module in (coco_module, cocoeval):  # both talk on stdout; theirs alone is silenced, not the process's
        module.print = _silent
    base = {"images": list(images), "categories": [{"id": number, "name": name} for name, number in names.items()]}
    evaluated = cocoeval.COCOeval(_index({**base, "annotations": truth}), _index({**base, "annotations": found}), kind)
    evaluated.params.areaRng, evaluated.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluated.params.maxDets = [MOST_FOUND]
    evaluated.evaluate()
    evaluated.accumulate()
    return evaluated


def _silent(*_: object, **__: object) -> None:
    return


def _index(dataset: dict[str, Any]) -> Any:
    from pycocotools.coco import COCO

    for number, annotation in enumerate(dataset["annotations"], 1):
        annotation["id"] = number
        annotation.setdefault("iscrowd", 0)
        annotation.setdefault("area", annotation["bbox"][2] * annotation["bbox"][3])
    made = COCO()
    made.dataset = dataset
    made.createIndex()
    return made


def precisions(evaluated: COCOeval, number: int | None = None) -> dict[str, float]:
    """Both metrics of all classes, or of one; COCO marks what has no example by -1."""
    table = evaluated.eval["precision"][:, :, :, 0, -1]  # IoU threshold, recall, class
    precision = table if number is None else table[:, :, number - 1]
    measured, at_half = precision[precision > -1], precision[0][precision[0] > -1]
    if not measured.size:
        return {}
    return {"mean_average_precision": float(measured.mean()), "map50": float(at_half.mean())}


def curve(evaluated: COCOeval) -> list[float]:
    """Precision at the recalls 0.00, 0.01 … 1.00 and IoU 0.50: the mean of the classes that have examples."""
    table = evaluated.eval["precision"][0, :, :, 0, -1]
    measured = table[:, (table > -1).all(axis=0)]
    return [round(float(value), 4) for value in measured.mean(axis=1)] if measured.size else []


@dataclass(frozen=True, slots=True)
class _Matches:
    """One class: what was found of it in all images, most certain first, and how many there are to find."""

    image: Any
    """[found] position of the image"""
    counts: Sequence[Any]
    """By threshold [found]: whether it counts, right or wrong; the same object where thresholds agree."""
    hits: Sequence[Any]
    """By threshold: positions of what is right."""
    wanted: Any
    """[image]"""

    @property
    def size(self) -> int:
        """Numbers that one resample takes."""
        return len(self.image) + sum(len(hits) for hits in self.hits)


class Resampled:
    """The metric of images that count so many times each, without matching boxes again."""

    def __init__(self, evaluated: COCOeval, thresholds: int) -> None:
        """The first `thresholds` of COCO's ten IoU thresholds count: 1 for mAP50."""
        count, classes = len(evaluated.params.imgIds), len(evaluated.params.catIds)
        each = [evaluated.evalImgs[number * count : (number + 1) * count] for number in range(classes)]
        self._classes = [m for one in each if (m := _matches(one, thresholds)) is not None]
        self.size = sum(m.size for m in self._classes)

    def __call__(self, weights: Any) -> Any:
        """`weights` are [resample, image] whole numbers; returns [resample], NaN where there is nothing to find."""
        import numpy as np

        total, present = np.zeros(len(weights)), np.zeros(len(weights))
        for one in self._classes:
            has = weights @ one.wanted > 0
            total[has] += _average_precision(one, weights[has])
            present += has
        with np.errstate(invalid="ignore"):
            return total / present


def _matches(images: Sequence[dict[str, Any] | None], thresholds: int) -> _Matches | None:
    import numpy as np

    wanted = np.array([0 if e is None else int((~e["gtIgnore"].astype(bool)).sum()) for e in images])
    if not wanted.any():
        return None
    some = [(at, e) for at, e in enumerate(images) if e is not None]
    score = np.concatenate([e["dtScores"] for _, e in some])
    order = np.argsort(-score, kind="mergesort")  # as COCO does: of equals, the first
    image = np.concatenate([np.full(len(e["dtScores"]), at) for at, e in some]).astype(int)[order]
    match = np.concatenate([e["dtMatches"][:thresholds] for _, e in some], axis=1)[:, order] > 0
    counts = ~np.concatenate([e["dtIgnore"][:thresholds] for _, e in some], axis=1)[:, order].astype(bool)
    hit = match & counts
    last = int(np.flatnonzero(hit.any(axis=0)).max(initial=-1)) + 1  # mistakes after the last hit change no precision
    rows = [row[:last].astype(np.int32) for row in counts]
    same = all(bool((row == rows[0]).all()) for row in rows)
    return _Matches(image[:last], rows[:1] * len(rows) if same else rows, [np.flatnonzero(row) for row in hit], wanted)


def _average_precision(one: _Matches, weights: Any) -> Any:
    """[resample]; in chunks, so that many images take no more memory than few."""
    import numpy as np

    if not one.image.size:
        return np.zeros(len(weights))
    rows = max(1, CHUNK_NUMBERS // one.image.size)
    parts = [weights[start : start + rows] for start in range(0, len(weights), rows)]
    return np.concatenate([_of_chunk(one, part) for part in parts] or [np.zeros(0)])


def _of_chunk(one: _Matches, weights: Any) -> Any:
    """Precision read at 101 recalls, as `COCOeval.accumulate` reads it, and the mean over thresholds.

    Precision is highest right after a hit, so only there is it looked at: each hit gives the best precision from it on
    to as many recalls as it is the first to reach.
    """
    import numpy as np

    counted = weights.astype(np.int32)[:, one.image]
    reached, offset = _recalls_reached(weights @ one.wanted)
    total, seen, summed = None, None, np.zeros(len(weights))
    for counts, hits in zip(one.counts, one.hits, strict=True):
        if not hits.size:
            continue
        if total is None or counts is not seen:
            total, seen = np.cumsum(counted * counts, axis=1), counts
        right = np.cumsum(counted[:, hits], axis=1)
        precision = right / (total[:, hits] + np.spacing(1))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        summed += (best * np.diff(reached[offset[:, None] + right], axis=1, prepend=0)).sum(axis=1)
    return summed / (RECALLS * len(one.hits))


def _recalls_reached(wanted: Any) -> tuple[Any, Any]:
    """How many of the 101 recalls so many hits reach: tables by the number to find, joined, and where each begins.

    Compared in floating point as COCO does: 7 of 25 do not reach 0.28, which is stored as a little more.
    """
    import numpy as np

    recalls = np.linspace(0.0, 1.0, RECALLS)
    known, which = np.unique(wanted, return_inverse=True)
    tables = [np.searchsorted(recalls, np.arange(number + 1) / number, side="right") for number in known]
    starts = np.concatenate([[0], np.cumsum([len(table) for table in tables])[:-1]]).astype(int)
    return np.concatenate(tables), starts[which]
