"""Label Studio's JSON export: a list of tasks with their annotations; also one task, or JSON_MIN.

Contract: Label Studio, "Task format" and "Units of image annotations": x, y, width and height are per cent of the image
as the browser shows it, which is as EXIF turns it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from services.labels.heads import json_head
from services.labels.json_stream import elements
from services.labels.label_studio_images import TaskImages, is_shape
from services.labels.label_studio_result import Found, has_class, is_bare, labels_of_result
from services.labels.problems import problem
from services.labels.record import ImageRecord, Reading, with_problems
from services.labels.values import shown, side
from services.labels.whole_file import all_or_nothing
from services.state import Problem

_TASK = {"annotations", "completions", "predictions", "data"}
_CREATEML = {"image", "imagefilename"}
"""Beside a list of annotations, these are Create ML's."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class LabelStudioReader:
    """One file for many images. Predictions and drafts are not labels; of several annotations the newest counts."""

    name = "label-studio"
    per_image = False

    def accepts(self, head: bytes) -> bool:
        kind, names = json_head(head)
        if kind == "list":
            return "annotation_id" in names or (bool(names & _TASK) and not names & _CREATEML)
        return kind == "object" and ("result" in names or (bool(names & _TASK) and bool(names & {"id", "data"})))

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        return all_or_nothing(file, _readings(file, chunks))


def _readings(file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
    for _, group in groupby(elements(chunks), key=_group):
        yield from _read_group(file, [*group])


def _group(element: tuple[str, Any]) -> object:
    """JSON_MIN has an element for each annotation of a task, one after the other."""
    place, value = element
    return str(value.get("id")) if is_minimal(value) and "id" in value else place


def _read_group(file: str, group: list[tuple[str, Any]]) -> Iterator[Reading]:
    place, value = max(group, key=lambda element: changed_at(element[1])) if len(group) > 1 else group[0]
    yield from _minimal(file, place, value) if is_minimal(value) else read_task(file, place, value)


def is_minimal(value: Any) -> bool:
    """Whether it is an element of JSON_MIN, which has results beside the task's data."""
    return isinstance(value, dict) and "annotation_id" in value and "data" not in value


def read_task(file: str, place: str, task: Any) -> Iterator[Reading]:
    """What a task says of its image, and problems; nothing where nobody has annotated it yet."""
    content = task if isinstance(task, dict) else {}
    if "result" in content and isinstance(content.get("task"), dict):
        content = content["task"] | {"annotations": [task]}  # as target storage has them: an annotation with its task
    images = TaskImages(content.get("data"))
    annotations = content.get("annotations", content.get("completions", []))
    if images.are_none:
        expected, found = "data with the path or address of an image", shown(content.get("data", task))
        yield problem("label-studio-structure", file, place, expected=expected, found=found)
    elif not isinstance(annotations, list) or not all(isinstance(each, dict) for each in annotations):
        expected, found = "a list of annotations", shown(annotations)
        yield problem("label-studio-structure", file, f"{place}.annotations", expected=expected, found=found)
    elif (index := newest(annotations)) is not None:
        yield from _read_annotation(file, f"{place}.annotations[{index}]", images, annotations[index])


def newest(annotations: list[dict[str, Any]]) -> int | None:
    """The index of the annotation that was changed last; cancelled (skipped) ones do not count."""
    valid = [i for i, each in enumerate(annotations) if not each.get("was_cancelled")]
    return max(valid, key=lambda i: (changed_at(annotations[i]), i), default=None)


def changed_at(value: Any) -> datetime:
    """When an annotation was changed last; the beginning of time where it does not say."""
    text = value.get("updated_at") or value.get("created_at") if isinstance(value, dict) else None
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else _NEVER
    except ValueError:
        return _NEVER
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _read_annotation(file: str, place: str, images: TaskImages, annotation: dict[str, Any]) -> Iterator[Reading]:
    """A record of each image that has labels; it is refused where nobody can tell which of several that is."""
    results = _results(annotation)
    if not images.tells_apart([each for each in results if is_shape(each)]):
        yield _untold(file, f"{place}.result", "regions in several images")
        return
    by_image: dict[str, list[tuple[dict[str, Any], Found]]] = {}
    for at, result, found in _located(annotation, file, place):
        image = images.of(result)
        if image is None:
            yield _untold(file, at, f"to_name {shown(result.get('to_name'))}")
            return
        by_image.setdefault(image, []).append((result, found))
    if by_image:
        for image, each in by_image.items():
            width, height = _size([result for result, _ in each])
            yield from with_problems(
                ImageRecord(image, place, width=width, height=height), [found for _, found in each]
            )
    elif (image := images.of_nothing()) is not None:
        yield from read_annotation(file, place, image, annotation)
    else:
        yield _untold(file, f"{place}.result", "no label, and several images")


def _untold(file: str, place: str, found: str) -> Problem:
    expected = "an image of the task: to_name as the member of data that names it, or one image a task"
    return problem("label-studio-structure", file, place, expected=expected, found=found)


def read_annotation(file: str, place: str, image: str, annotation: dict[str, Any]) -> Iterator[Reading]:
    """The record of an image that one annotation is about; one without results says that nothing is in the image."""
    results = annotation.get("result")
    if not isinstance(results, list):
        expected = "a list of results"
        yield problem("label-studio-structure", file, f"{place}.result", expected=expected, found=shown(results))
        return
    width, height = _size(results)
    record = ImageRecord(image, place, width=width, height=height)
    yield from with_problems(record, annotation_labels(annotation, file, place))


def annotation_labels(annotation: dict[str, Any], file: str = "", place: str = "annotation") -> Iterator[Found]:
    """The labels of one annotation, in shares of the image, and the problems of others; pure.

    `annotation` is as in an export or a webhook's body: its list `result` holds boxes, polygons, ellipses and choices.
    """
    yield from (found for _, _, found in _located(annotation, file, place))


def _located(annotation: dict[str, Any], file: str, place: str) -> Iterator[tuple[str, dict[str, Any], Found]]:
    """The same with its place and the result that it is of."""
    said = annotation.get("result")
    results = said if isinstance(said, list) else []
    classed = {str(result.get("id")) for result in results if has_class(result)}
    for index, result in enumerate(results):
        at, content = f"{place}.result[{index}]", result if isinstance(result, dict) else {}
        if is_bare(result) and str(result.get("id")) not in classed:
            yield at, content, problem("class-invalid", file, at, expected="a class for the shape", found="none")
        else:
            yield from ((at, content, found) for found in labels_of_result(file, at, result))


def _results(annotation: dict[str, Any]) -> list[dict[str, Any]]:
    said = annotation.get("result")
    return [each for each in said if isinstance(each, dict)] if isinstance(said, list) else []


def _size(results: list[Any]) -> tuple[int, int]:
    for result in results:
        if isinstance(result, dict) and (width := side(result.get("original_width"))):
            return width, side(result.get("original_height"))
    return 0, 0


def _minimal(file: str, place: str, value: dict[str, Any]) -> Iterator[Reading]:
    """An element of JSON_MIN; one without results tells too little to be called a negative."""
    images = TaskImages({key: each for key, each in value.items() if key not in {"created_at", "updated_at"}})
    results, image = [*_minimal_results(place, value)], images.of({})
    if images.are_none:
        expected = "the path or address of an image"
        yield problem("label-studio-structure", file, place, expected=expected, found=shown(value))
    elif results and image is None:
        expected = "one image a task, or the export called JSON, which says of which image a label is"
        yield problem("label-studio-structure", file, place, expected=expected, found="several images")
    elif results and image is not None:
        width, height = _size([result for _, result in results])
        found = (label for at, result in results for label in labels_of_result(file, at, result))
        yield from with_problems(ImageRecord(image, place, width=width, height=height), found)


def _minimal_results(place: str, value: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Results as the full export has them: sizes are among the values here."""
    for name, member in value.items():
        if name in {"choice", "choices"} and isinstance(member, str):
            yield f"{place}.{name}", {"type": "choices", "value": {"choices": [member]}}
        elif isinstance(member, dict) and "choices" in member:
            yield f"{place}.{name}", {"type": "choices", "value": member}
        elif isinstance(member, list):
            for index, each in enumerate(member):
                if isinstance(each, dict):
                    yield f"{place}.{name}[{index}]", {**each, "value": each}
