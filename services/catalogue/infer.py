"""What a loop learns, where loop.yaml does not say it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from services.catalogue.class_names import class_lists
from services.catalogue.documents import Summary, View
from services.labels.check import Rules
from services.loop_config import LoopConfig, Task
from services.words import numbered


@dataclass(frozen=True, slots=True)
class Inference:
    """How labels are looked at, and why."""

    view: View
    reason: str


def infer(config: LoopConfig, summaries: Iterable[Summary]) -> Inference:
    """The task of loop.yaml, else boxes mean detection, else classes or folders of images mean classification."""
    found = list(summaries)
    lists = class_lists(found)
    inference = _infer(config, found)
    return replace(inference, view=replace(inference.view, class_lists=lists))


def _infer(config: LoopConfig, found: Sequence[Summary]) -> Inference:
    boxes, files = sum(s.boxes for s in found), sum(s.label_files for s in found)
    folders = sorted({name for s in found for name in s.folders})
    if config.task:
        return _inference(config, config.task, "loop.yaml says so", by_folder=config.task in _CLASSIFICATION)
    if boxes:
        return _inference(
            config, "object_detection", f"{numbered(boxes, 'box', 'boxes')} in {numbered(files, 'label file')}"
        )
    if classed := sum(s.classed for s in found):
        several = sum(s.multiclassed for s in found)
        where = f"classes without boxes in {numbered(files, 'label file')}"
        reason = f"{numbered(classed, 'image')} with {where}, {several} of them with several"
        task: Task = "image_classification_multilabel" if several else "image_classification"
        return _inference(config, task, reason, by_folder=len(folders) > 1)
    if not files and len(folders) > 1:
        names = ", ".join(folders[:10])
        reason = f"images lie in {len(folders)} folders ({names}) and there is no label file"
        return _inference(config, "image_classification", reason, by_folder=True)
    return Inference(View(None), "There are neither boxes nor two folders that could be classes")


_CLASSIFICATION = {"image_classification", "image_classification_multilabel"}


def _inference(config: LoopConfig, task: Task, reason: str, *, by_folder: bool = False) -> Inference:
    classes = None if config.classes is None else frozenset(config.classes)
    return Inference(View(Rules(task, classes), by_folder), reason)
