"""Measures answers against a holdout: COCO mAP by pycocotools; accuracy, macro F1 and IoU as defined below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.datasets.reading import HoldoutImage
from services.loop_config import Task
from services.rollout.answers import Found

if TYPE_CHECKING:
    from pycocotools.cocoeval import COCOeval

MULTILABEL_THRESHOLD = 0.5
"""A class counts as found from this probability on; Azure ML's own threshold for multilabel models."""

Answers = Sequence[Sequence[Found]]


@dataclass(frozen=True, slots=True)
class Measures:
    """Metrics from 0 to 1. What cannot be measured, such as a class without an example, is left out."""

    overall: Mapping[str, float]
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def measure(task: Task, classes: Sequence[str], images: Sequence[HoldoutImage], answers: Answers) -> Measures:
    """Measure one model: `answers` belong to `images` one by one.

    A found label is a class if it has its name, capitals and outer spaces apart; anything else counts for nothing.
    """
    known = _Labels(classes)
    named = [[Found(name, f.score, f.box) for f in found if (name := known.name(f.label))] for found in answers]
    if task in ("object_detection", "instance_segmentation"):
        return _detection(classes, images, named)
    if task == "image_classification":
        return _classification(classes, images, named)
    return _multilabel(classes, images, named)


class _Labels:
    def __init__(self, classes: Sequence[str]) -> None:
        self._exact = set(classes)
        self._loose = {c.strip().casefold(): c for c in classes}

    def name(self, label: str) -> str | None:
        return label if label in self._exact else self._loose.get(label.strip().casefold())


def _detection(classes: Sequence[str], images: Sequence[HoldoutImage], answers: Answers) -> Measures:
    """COCO: mean over classes and IoU thresholds 0.50 to 0.95, at most 100 boxes an image."""
    ids = {name: number for number, name in enumerate(classes, 1)}
    truth = [_coco_truth(i, image, ids) for i, image in enumerate(images, 1)]
    boxes = [
        {"image_id": i, "category_id": ids[f.label], "bbox": _pixels(f.box, image), "score": f.score}
        for i, (image, found) in enumerate(zip(images, answers, strict=True), 1)
        for f in found
        if f.box is not None
    ]
    evaluated = _coco(ids, images, [t for each in truth for t in each], boxes)
    if evaluated is None:
        return Measures({})
    precision = evaluated.eval["precision"][:, :, :, 0, -1]  # IoU threshold, recall, class; all areas, most boxes
    per_class = {name: _precisions(precision[:, :, ids[name] - 1]) for name in classes}
    return Measures(_precisions(precision), {name: found for name, found in per_class.items() if found})


def _precisions(precision: Any) -> dict[str, float]:
    """COCO marks what has no example by -1."""
    measured, at_half = precision[precision > -1], precision[0][precision[0] > -1]
    if not measured.size:
        return {}
    return {"mean_average_precision": float(measured.mean()), "map50": float(at_half.mean())}


def _coco_truth(image_id: int, image: HoldoutImage, ids: Mapping[str, int]) -> list[dict[str, Any]]:
    found = []
    for annotation in image.annotations:
        if annotation.box is None or annotation.label not in ids:
            continue
        box = _pixels(annotation.box, image)
        area, crowd = box[2] * box[3], int(annotation.is_crowd)
        category = ids[annotation.label]
        found.append({"image_id": image_id, "category_id": category, "bbox": box, "area": area, "iscrowd": crowd})
    return found


def _pixels(box: tuple[float, float, float, float] | None, image: HoldoutImage) -> list[float]:
    left, top, right, bottom = box or (0.0, 0.0, 1.0, 1.0)
    return [left * image.width, top * image.height, (right - left) * image.width, (bottom - top) * image.height]


def _coco(
    ids: Mapping[str, int], images: Sequence[HoldoutImage], truth: list[dict[str, Any]], boxes: list[dict[str, Any]]
) -> COCOeval | None:
    if not truth:
        return None
    from pycocotools import coco as coco_module
    from pycocotools import cocoeval

    for module in (coco_module, cocoeval):  # both talk on stdout; theirs alone is silenced, not the process's
        module.print = _silent
    base = {
        "images": [{"id": i, "width": im.width, "height": im.height} for i, im in enumerate(images, 1)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }
    evaluated = cocoeval.COCOeval(
        _index({**base, "annotations": truth}), _index({**base, "annotations": boxes}), "bbox"
    )
    evaluated.evaluate()
    evaluated.accumulate()
    return evaluated


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


def _silent(*_: object, **__: object) -> None:
    return


def _classification(classes: Sequence[str], images: Sequence[HoldoutImage], answers: Answers) -> Measures:
    """Accuracy: the likeliest class is the image's. Macro F1: mean of F1 over the classes that occur."""
    wanted = [{a.label for a in image.annotations} for image in images]
    found = [{max(each, key=lambda f: f.score).label} if each else set() for each in answers]
    if not images:
        return Measures({})
    per_class = _f1_per_class(classes, wanted, found)
    accuracy = sum(w == f for w, f in zip(wanted, found, strict=True)) / len(images)
    return Measures({"accuracy": accuracy, **_macro(per_class)}, per_class)


def _multilabel(classes: Sequence[str], images: Sequence[HoldoutImage], answers: Answers) -> Measures:
    """IoU: mean over images of classes both wanted and found, over classes wanted or found; 1 where both are none."""
    wanted = [{a.label for a in image.annotations} for image in images]
    found = [{f.label for f in each if f.score >= MULTILABEL_THRESHOLD} for each in answers]
    if not images:
        return Measures({})
    per_class = _f1_per_class(classes, wanted, found)
    ious = [len(w & f) / len(w | f) if w | f else 1.0 for w, f in zip(wanted, found, strict=True)]
    return Measures({"iou": sum(ious) / len(ious), **_macro(per_class)}, per_class)


def _f1_per_class(
    classes: Sequence[str], wanted: Sequence[set[str]], found: Sequence[set[str]]
) -> dict[str, dict[str, float]]:
    measured = {}
    for name in classes:
        hits = sum(name in w and name in f for w, f in zip(wanted, found, strict=True))
        total = sum(name in w for w in wanted) + sum(name in f for f in found)
        if total:
            measured[name] = {"f1": 2 * hits / total}
    return measured


def _macro(per_class: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    scores = [each["f1"] for each in per_class.values()]
    return {"macro_f1": sum(scores) / len(scores)} if scores else {}
