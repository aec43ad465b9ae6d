"""Output manifests of Amazon SageMaker Ground Truth: JSON Lines, one line an image, boxes in pixels.

Contract: AWS, "Labeling job output data" (boxes, and one or several classes of an image), which Rekognition Custom
Labels reads and writes too. A label is the member NAME, beside a member NAME-metadata that says its type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from services.labels.heads import json_head
from services.labels.json_lines import json_lines
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading, with_problems
from services.labels.references import image_path
from services.labels.shapes import reals
from services.labels.values import class_name, shown, side
from services.state import Problem

_METADATA = "-metadata"
_BOXES = "groundtruth/object-detection"
_CLASS, _CLASSES = "groundtruth/image-classification", "groundtruth/image-classification-multilabel"
_VERDICT = "groundtruth/label-verification"
"""What somebody thought of another label, which says nothing of the image."""
_SIDES = ("left", "top", "width", "height")
Found = RawLabel | Problem


class _Label(NamedTuple):
    """A job's label of an image."""

    name: str
    kind: str
    value: Any
    metadata: dict[str, Any]

    def named(self, number: object) -> object:
        """The name of a class's number."""
        names = self.metadata.get("class-map")
        return names.get(str(number)) if isinstance(names, dict) else None


class GroundTruthReader:
    """One file for many images; each line stands by itself."""

    name = "ground-truth"
    per_image = False

    def accepts(self, head: bytes) -> bool:
        found = json_head(head)
        return found.kind == "object" and "source-ref" in found.names

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        return json_lines(file, chunks, _image)


def _image(file: str, place: str, value: Any) -> Iterator[Reading]:
    """What a line says; nothing of an image of which the job failed, which stays unlabelled."""
    content = value if isinstance(value, dict) else {}
    image, told = image_path(content.get("source-ref")), _told(content)
    if image is None:
        found = shown(content.get("source-ref") if content else value)
        yield problem("ground-truth-structure", file, place, expected="a source-ref that names an image", found=found)
    elif not told:
        expected, found = "a label NAME with its NAME-metadata", shown([*content])
        yield problem("ground-truth-structure", file, place, expected=expected, found=found)
    elif counting := _counting(told):
        width, height = _size(label.value for label in counting)
        labels = (found for label in counting for found in _labels(file, f"{place}, {label.name}", label))
        yield from with_problems(ImageRecord(image, place, width=width, height=height), labels)


def _told(content: dict[str, Any]) -> list[_Label]:
    found = ((n.removesuffix(_METADATA), data) for n, data in content.items() if n.endswith(_METADATA))
    return [_Label(n, str(data.get("type")), content.get(n), data) for n, data in found if isinstance(data, dict)]


def _counting(told: Iterable[_Label]) -> list[_Label]:
    """Of boxes those that were drawn last, as jobs that adjust boxes keep the older ones; classes add up."""
    done = [label for label in told if "failure-reason" not in label.metadata and label.kind != _VERDICT]
    boxes = sorted((label for label in done if label.kind == _BOXES), key=_created)
    return [*boxes[-1:], *(label for label in done if label.kind != _BOXES)]


def _created(label: _Label) -> str:
    return str(label.metadata.get("creation-date"))


def _size(values: Iterable[Any]) -> tuple[int, int]:
    """The size of the image, which comes with boxes."""
    for value in values:
        sizes = value.get("image_size") if isinstance(value, dict) else None
        if isinstance(sizes, list) and sizes and isinstance(sizes[0], dict):
            return side(sizes[0].get("width")), side(sizes[0].get("height"))
    return 0, 0


def _labels(file: str, place: str, label: _Label) -> Iterator[Found]:
    if label.kind == _BOXES:
        entries = label.value.get("annotations") if isinstance(label.value, dict) else None
        yield from _each(file, f"{place}.annotations", entries, lambda at, entry: _box(file, at, label, entry))
    elif label.kind == _CLASSES:
        yield from _each(file, place, label.value, lambda at, number: _whole(file, at, label.named(number), number))
    elif label.kind == _CLASS:
        said = label.metadata.get("class-name", label.named(label.value))
        yield _whole(file, place, said, label.value)
    else:
        expected = "boxes or classes of images"
        yield problem("shape-unsupported", file, place, expected=expected, found=shown(label.kind))


def _each(file: str, place: str, entries: Any, read: Callable[[str, Any], Found]) -> Iterator[Found]:
    if isinstance(entries, list):
        yield from (read(f"{place}[{index}]", entry) for index, entry in enumerate(entries))
    else:
        yield problem("ground-truth-structure", file, place, expected="a list", found=shown(entries))


def _whole(file: str, place: str, said: object, found: object) -> Found:
    name = class_name(said)
    if name is None:
        expected = "a class with a name in class-map or class-name"
        return problem("class-invalid", file, place, expected=expected, found=shown(found))
    return RawLabel(name, None, place)


def _box(file: str, place: str, label: _Label, entry: Any) -> Found:
    content = entry if isinstance(entry, dict) else {}
    name, box = class_name(label.named(content.get("class_id"))), reals(content.get(one) for one in _SIDES)
    if name is None:
        expected = "a class_id with a name in class-map"
        return problem("class-invalid", file, place, expected=expected, found=shown(entry))
    if box is None:
        expected = f"{', '.join(_SIDES)} in pixels"
        return problem("box-invalid", file, place, expected=expected, found=shown(entry))
    left, top, width, height = box
    return RawLabel(name, (left, top, left + width, top + height), place)
