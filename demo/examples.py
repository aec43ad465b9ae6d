"""Images with the boxes that are known to be on them, and COCO's way to write these down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One labelled object; `box` is None where the whole image is of the class."""

    name: str
    box: Box | None


@dataclass(frozen=True, slots=True)
class Example:
    """An image's bytes, its size in pixels as they are stored, and what is on it."""

    name: str
    data: bytes
    width: int
    height: int
    things: tuple[Thing, ...]


def coco(examples: Sequence[Example]) -> dict[str, Any]:
    """A COCO document: https://cocodataset.org/#format-data (boxes as left, top, width, height)."""
    names = sorted({thing.name for example in examples for thing in example.things})
    numbered = {name: number for number, name in enumerate(names, 1)}
    found = [(image, thing) for image, example in enumerate(examples, 1) for thing in example.things]
    return {
        "images": [
            {"id": n, "file_name": e.name, "width": e.width, "height": e.height} for n, e in enumerate(examples, 1)
        ],
        "categories": [{"id": n, "name": name} for name, n in numbered.items()],
        "annotations": [
            {"id": n, "image_id": image, "category_id": numbered[thing.name], **_measures(thing.box)}
            for n, (image, thing) in enumerate(found, 1)
            if thing.box is not None
        ],
    }


def coco_file(examples: Sequence[Example]) -> bytes:
    """The document as a file's bytes."""
    return json.dumps(coco(examples)).encode()


def _measures(box: Box) -> dict[str, Any]:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    return {"bbox": [left, top, width, height], "area": width * height, "iscrowd": 0}
