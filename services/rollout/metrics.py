"""Measures answers against a holdout: COCO mAP by pycocotools; accuracy, macro F1 and IoU as defined below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from services.datasets.reading import HoldoutImage
from services.labels.annotation import Annotation
from services.loop_config import Task
from services.rollout import detection
from services.rollout.answers import LEAST_NUMBERS, Found
from services.rollout.bootstrap import Resampled

MULTILABEL_THRESHOLD = 0.5
"""A class counts as found from this probability on; Azure ML's own threshold for multilabel models."""
MOST_CONFUSED = 50
"""No table of confusions is kept of more classes than these."""

Answers = Sequence[Sequence[Found]]


@dataclass(frozen=True, slots=True)
class Measures:
    """Metrics from 0 to 1. What cannot be measured, such as a class without an example, is left out."""

    overall: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    again: Mapping[str, Resampled] = field(default_factory=dict, compare=False, repr=False)
    """By metric: the same measured on images that count so many times each."""
    picture: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What a model card draws: `precision_at_recall`, or `classes` and `confusion`."""


def measure(task: Task, classes: Sequence[str], images: Sequence[HoldoutImage], answers: Answers) -> Measures:
    """Measure one model: `answers` belong to `images` one by one.

    A found label is a class if it has its name, capitals and outer spaces apart; anything else counts for nothing.
    """
    known = _Labels(classes)
    named = [[replace(f, label=name) for f in found if (name := known.name(f.label))] for found in answers]
    if task in ("object_detection", "instance_segmentation"):
        return _detection(classes, images, named, "segm" if task == "instance_segmentation" else "bbox")
    if task == "image_classification":
        return _classification(classes, images, named)
    return _multilabel(classes, images, named)


class _Labels:
    def __init__(self, classes: Sequence[str]) -> None:
        self._exact = set(classes)
        self._loose = {c.strip().casefold(): c for c in classes}

    def name(self, label: str) -> str | None:
        return label if label in self._exact else self._loose.get(label.strip().casefold())


def _detection(classes: Sequence[str], images: Sequence[HoldoutImage], answers: Answers, kind: str) -> Measures:
    """COCO: mean over classes and IoU thresholds 0.50 to 0.95, at most 100 things an image; `kind` is bbox or segm."""
    ids = {name: number for number, name in enumerate(classes, 1)}
    truth = [t for i, image in enumerate(images, 1) for t in _coco_truth(i, image, ids, kind)]
    found = [
        {"image_id": i, "category_id": ids[f.label], "score": f.score, **_place(f, image, kind)}
        for i, (image, each) in enumerate(zip(images, answers, strict=True), 1)
        for f in each
        if f.box is not None
    ]
    sizes = [{"id": i, "width": image.width, "height": image.height} for i, image in enumerate(images, 1)]
    evaluated = detection.evaluate(sizes, ids, truth, found, kind)
    if evaluated is None:
        return Measures({})
    per_class = {name: precisions for name in classes if (precisions := detection.precisions(evaluated, ids[name]))}
    again: dict[str, Resampled] = {
        "mean_average_precision": detection.Resampled(evaluated, len(evaluated.params.iouThrs)),
        "map50": detection.Resampled(evaluated, 1),
    }
    picture = {"precision_at_recall": detection.curve(evaluated)}
    return Measures(detection.precisions(evaluated), per_class, again, picture)


def _coco_truth(image_id: int, image: HoldoutImage, ids: Mapping[str, int], kind: str) -> list[dict[str, Any]]:
    found = []
    for annotation in image.annotations:
        if annotation.box is None or annotation.label not in ids:
            continue
        what = {"image_id": image_id, "category_id": ids[annotation.label], "iscrowd": int(annotation.is_crowd)}
        found.append({**what, **_place(annotation, image, kind)})
    return found


def _place(one: Annotation | Found, image: HoldoutImage, kind: str) -> dict[str, Any]:
    """COCO's box, and mask where masks are compared: a thing without an outline covers its box."""
    box = _pixels(one.box, image)
    if kind == "bbox":
        return {"bbox": box}
    left, top, width, height = box
    whole = [left, top, left + width, top, left + width, top + height, left, top + height]
    scale = (image.width, image.height)
    outlines = [
        [n * scale[at % 2] for at, n in enumerate(polygon)] for polygon in one.polygons if len(polygon) >= LEAST_NUMBERS
    ]
    return {"bbox": box, "segmentation": outlines or [whole]}


def _pixels(box: tuple[float, float, float, float] | None, image: HoldoutImage) -> list[float]:
    left, top, right, bottom = box or (0.0, 0.0, 1.0, 1.0)
    return [left * image.width, top * image.height, (right - left) * image.width, (bottom - top) * image.height]


def _classification(classes: Sequence[str], images: Sequence[HoldoutImage], answers: Answers) -> Measures:
    """Accuracy: the likeliest class is the image's. Macro F1: mean of F1 over the classes that occur."""
    wanted = [{a.label for a in image.annotations} for image in images]
    found = [{max(each, key=lambda f: f.score).label} if each else set() for each in answers]
    right = [float(w == f) for w, f in zip(wanted, found, strict=True)]
    return _named(classes, wanted, found, "accuracy", right)


def _multilabel(classes: Sequence[str], images: Sequence[HoldoutImage], answers: Answers) -> Measures:
    """IoU: mean over images of classes both wanted and found, over classes wanted or found; 1 where both are none."""
    wanted = [{a.label for a in image.annotations} for image in images]
    found = [{f.label for f in each if f.score >= MULTILABEL_THRESHOLD} for each in answers]
    ious = [len(w & f) / len(w | f) if w | f else 1.0 for w, f in zip(wanted, found, strict=True)]
    return _named(classes, wanted, found, "iou", ious)


def _named(
    classes: Sequence[str], wanted: Sequence[set[str]], found: Sequence[set[str]], metric: str, each: Sequence[float]
) -> Measures:
    """`each` is the metric of every image."""
    if not wanted:
        return Measures({})
    per_class = {name: counted for name in classes if (counted := _of_class(name, wanted, found))}
    overall = {metric: sum(each) / len(each), **_macro(per_class)}
    again: dict[str, Resampled] = {metric: WeightedMean(each), "macro_f1": WeightedMacroF1(classes, wanted, found)}
    return Measures(overall, per_class, again, _confusion(classes, wanted, found))


def _of_class(name: str, wanted: Sequence[set[str]], found: Sequence[set[str]]) -> dict[str, float]:
    """F1, and what it is made of where that is defined; nothing of a class that neither occurs nor was found."""
    hits = sum(name in w and name in f for w, f in zip(wanted, found, strict=True))
    there, said = sum(name in w for w in wanted), sum(name in f for f in found)
    shares = {"precision": (hits, said), "recall": (hits, there)}
    parts = {share: part / of for share, (part, of) in shares.items() if of}
    return {"f1": 2 * hits / (there + said), **parts} if there + said else {}


def _macro(per_class: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    scores = [each["f1"] for each in per_class.values()]
    return {"macro_f1": sum(scores) / len(scores)} if scores else {}


def _confusion(classes: Sequence[str], wanted: Sequence[set[str]], found: Sequence[set[str]]) -> dict[str, Any]:
    """Counts of [wanted][found]; pairs of an image's right classes count for themselves, its others crosswise."""
    if len(classes) > MOST_CONFUSED:
        return {}
    at = {name: position for position, name in enumerate(classes)}
    counts = [[0] * len(classes) for _ in classes]
    for want, say in zip(wanted, found, strict=True):
        pairs = [(name, name) for name in want & say] + [(w, s) for w in want - say for s in say - want]
        for w, s in pairs:
            if w in at:
                counts[at[w]][at[s]] += 1
    return {"classes": list(classes), "confusion": counts}


@dataclass(frozen=True, slots=True)
class WeightedMean:
    """A mean over images that count so many times each: [resample, image] to [resample]."""

    each: Sequence[float]

    def __call__(self, weights: Any) -> Any:
        import numpy as np

        return weights @ np.asarray(self.each, float) / weights.sum(axis=1)


@dataclass(frozen=True, slots=True)
class WeightedMacroF1:
    """Macro F1 of images that count so many times each: [resample, image] to [resample]."""

    classes: Sequence[str]
    wanted: Sequence[set[str]]
    found: Sequence[set[str]]

    def __call__(self, weights: Any) -> Any:
        import numpy as np

        wanted, found = (self._table(each) for each in (self.wanted, self.found))
        hits, total = weights @ (wanted * found), weights @ (wanted + found)
        counts = total > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counts, 2 * hits / total, 0.0).sum(axis=1) / counts.sum(axis=1)

    def _table(self, each: Sequence[set[str]]) -> Any:
        import numpy as np

        return np.array([[name in names for name in self.classes] for names in each], int)
