"""Holds what a label file says of an image against the image itself.

A bad annotation is quarantined with its reason, the others are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from services.labels.alike import unknown_class
from services.labels.annotation import Annotation, Box
from services.labels.frame import TOLD, TOLERANCE, Frame, finite
from services.labels.outlines import check_outlines
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel
from services.loop_config import Task
from services.state import Problem


@dataclass(frozen=True, slots=True)
class Rules:
    """What the loop wants of its labels; `classes` is None where any class is welcome."""

    task: Task
    classes: frozenset[str] | None = None


def check(file: str, record: ImageRecord, frame: Frame, rules: Rules) -> Iterator[Annotation | Problem]:
    """Yield the annotations that hold, and the problems of the others."""
    yield from (sizes := list(_check_size(file, record, frame)))
    if not any(p.severity == "error" for p in sizes):
        labels = [_as_wanted(frame.in_pixels(label), frame, rules) for label in record.labels]
        learnt = any(_fits(label, rules) for label in labels)
        for label in labels:
            yield from _check_label(file, label, frame, rules, learnt=learnt)


def _check_size(file: str, record: ImageRecord, frame: Frame) -> Iterator[Problem]:
    said, real = (record.width, record.height), (frame.width, frame.height)
    if 0 in said or said == real:
        return
    turned = frame.rotated and said == (frame.height, frame.width)
    code = "exif-rotation" if turned else "size-mismatch"
    expected, found = f"{real[0]} x {real[1]} pixels, as the image is displayed", f"{said[0]} x {said[1]}"
    yield problem(code, file, record.place, expected=expected, found=found)


def _as_wanted(label: RawLabel, frame: Frame, rules: Rules) -> RawLabel:
    """Tools that know boxes only draw one around the whole image, or one of zeros, to say what an image is of."""
    if rules.task in _KINDS or label.box is None or label.polygons or not frame.is_whole(label.box):
        return label
    return replace(label, box=None)


def _check_label(
    file: str, label: RawLabel, frame: Frame, rules: Rules, *, learnt: bool
) -> Iterator[Annotation | Problem]:
    beside = learnt and not _fits(label, rules) and (label.box is None or rules.task not in _KINDS)
    if rules.classes is not None and label.label not in rules.classes and not beside:
        yield unknown_class(file, label.place, label.label, rules.classes)
    elif not _fits(label, rules):
        yield _other_kind(file, label, rules, beside=beside)
    elif label.box is None:
        yield Annotation(label.label)
    elif rules.task == "instance_segmentation":
        yield from check_outlines(file, label, frame)
    else:
        yield from _check_box(file, label, label.box, frame)


_KINDS: dict[Task, str] = {"object_detection": "a box", "instance_segmentation": "a polygon"}


_WHOLE = "a class without a box"


def _kind(label: RawLabel) -> str:
    return "a polygon" if label.polygons else "a box" if label.box else _WHOLE


def _fits(label: RawLabel, rules: Rules) -> bool:
    """Whether the label is what the task wants; the box of a polygon will do for detection."""
    wanted, found = _KINDS.get(rules.task, _WHOLE), _kind(label)
    return wanted == found or (wanted == "a box" and found == "a polygon")


def _other_kind(file: str, label: RawLabel, rules: Rules, *, beside: bool) -> Problem:
    """A note where one project has both, the class of an image beside its boxes.

    A box beside outlines is an error: its object would be taught as background.
    """
    expected = f"{_KINDS.get(rules.task, _WHOLE)}, for task {rules.task}"
    return problem("label-beside" if beside else "label-kind", file, label.place, expected=expected, found=_kind(label))


def _check_box(file: str, label: RawLabel, box: Box, frame: Frame) -> Iterator[Annotation | Problem]:
    left, top, right, bottom = box
    beyond = frame.beyond(box)
    expected, found = f"a box within {frame.width} x {frame.height} pixels", _shown(box)
    if not finite(box):
        yield problem("box-invalid", file, label.place, expected="finite numbers", found=found)
    elif right <= left or bottom <= top:
        yield problem("box-empty", file, label.place, expected="left < right and top < bottom", found=found)
    elif beyond > TOLERANCE:
        yield problem("box-outside", file, label.place, expected=expected, found=found)
    else:
        if beyond > TOLD:
            yield problem("box-clamped", file, label.place, expected=expected, found=found)
        yield from _normalised(file, label, box, frame)


def _normalised(file: str, label: RawLabel, box: Box, frame: Frame) -> Iterator[Annotation | Problem]:
    left, top, right, bottom = frame.shares(box)
    if right <= left or bottom <= top:
        yield problem("box-empty", file, label.place, expected="an area within the image", found=_shown(box))
    else:
        yield Annotation(label.label, (left, top, right, bottom), label.is_crowd)


def _shown(box: Box) -> str:
    return "left {:g}, top {:g}, right {:g}, bottom {:g}".format(*box)


def without_duplicates(
    found: Sequence[tuple[str, Annotation | Problem]],
) -> Iterator[Annotation | Problem]:
    """Of equal annotations the first, and a problem for each other; `found` is with the files they come from."""
    seen: set[Annotation] = set()
    for file, each in found:
        if isinstance(each, Problem) or each not in seen:
            yield each
        else:
            yield problem("box-duplicate", file, expected="each box once", found=f"two equal boxes of {each.label}")
        if isinstance(each, Annotation):
            seen.add(each)
