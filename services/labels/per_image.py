"""Reads our own label of one image; label_file.py says what it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from services.labels.heads import json_head
from services.labels.json_stream import elements
from services.labels.label_file import LabelHead, LabelledObject
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading, with_problems
from services.labels.values import bounds, shown
from services.labels.whole_file import all_or_nothing
from services.state import Problem

_CODES = {"label": "class-invalid", "box": "box-invalid", "polygon": "polygon-invalid"}


class PerImageReader:
    """One file for one image, the one with its stem; of an image's files of the same age it beats those about many."""

    name = "visionloop"
    per_image = True

    def accepts(self, head: bytes) -> bool:
        found = json_head(head)
        return found.kind == "object" and "visionloop" in found.names

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        return all_or_nothing(file, (reading for _, value in elements(chunks) for reading in read_label(file, value)))


def read_label(file: str, value: Any) -> Iterator[Reading]:
    """The record of a file's content, and the problems of those of its labels that are left out; pure."""
    try:
        head = LabelHead.model_validate(value)
    except ValidationError as error:
        yield _problem(file, "", "label-structure", error)
        return
    record = ImageRecord(head.image or "", "labels", width=head.width or 0, height=head.height or 0)
    shares = head.unit == "shares"
    yield from with_problems(record, (_label(file, i, each, shares=shares) for i, each in enumerate(head.labels)))


def _label(file: str, index: int, value: Any, *, shares: bool) -> RawLabel | Problem:
    place = f"labels[{index}]"
    try:
        found = LabelledObject.model_validate(value)
    except ValidationError as error:
        member = next(iter(error.errors()[0]["loc"]), "")
        return _problem(file, place, _CODES.get(str(member), "label-structure"), error)
    polygons = tuple(tuple(part) for part in found.polygon or ())
    box = (found.box[0], found.box[1], found.box[2], found.box[3]) if found.box else None
    return RawLabel(found.label, bounds(polygons) if polygons else box, place, found.crowd, polygons, shares)


def _problem(file: str, place: str, code: str, error: ValidationError) -> Problem:
    first = error.errors(include_url=False)[0]
    found = "nothing" if first["type"] == "missing" else shown(first["input"])
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in (place, *first["loc"]) if part != ""
    )
    return problem(code, file, path.removeprefix("."), expected=first["msg"], found=found)
