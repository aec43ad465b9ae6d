"""Azure ML's JSONL for AutoML for Images, all four tasks: one line an image, numbers in shares of width and height.

Contract: Azure ML, "Data schemas to train computer vision models with automated machine learning". `label` is a class,
a list of classes, or a list of objects with a box (topX, topY, bottomX, bottomY) or a polygon ([[x1, y1, …], …]).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.labels.heads import json_head
from services.labels.json_lines import json_lines
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading, with_problems
from services.labels.references import image_path
from services.labels.shapes import flag, flat_polygons, reals
from services.labels.values import bounds, class_name, shown, side
from services.state import Problem

_CORNERS = ("topX", "topY", "bottomX", "bottomY")


class AutomlJsonlReader:
    """One file for many images; each line stands by itself, so a bad one is left out and the others are kept."""

    name = "automl-jsonl"
    per_image = False

    def accepts(self, head: bytes) -> bool:
        found = json_head(head)
        return found.kind == "object" and "image_url" in found.names

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        return json_lines(file, chunks, _read_image)


def _read_image(file: str, place: str, value: Any) -> Iterator[Reading]:
    content = value if isinstance(value, dict) else {}
    image, said = image_path(content.get("image_url")), content.get("label")
    entries = [said] if isinstance(said, str) else said
    if image is None:
        found = shown(content.get("image_url") if content else value)
        yield problem("automl-structure", file, place, expected="an image_url that names an image", found=found)
    elif not isinstance(entries, list):
        expected = "a label: a class, a list of classes, of boxes or of polygons"
        yield problem("automl-structure", file, place, expected=expected, found=shown(said))
    else:
        labels = [_label(file, f"{place}, label[{i}]", entry) for i, entry in enumerate(entries)]
        width, height = _size(content.get("image_details"))
        yield from with_problems(ImageRecord(image, place, width=width, height=height), labels)


def _size(details: Any) -> tuple[int, int]:
    """Microsoft's own examples have sizes as 400 and as "400px"."""
    if not isinstance(details, dict):
        return 0, 0
    sides = (details.get(name) for name in ("width", "height"))
    width, height = (side(s.removesuffix("px") if isinstance(s, str) else s) for s in sides)
    return width, height


def _label(file: str, place: str, entry: Any) -> RawLabel | Problem:
    said = entry.get("label") if isinstance(entry, dict) else entry
    name = class_name(said)
    if name is None:
        return problem("class-invalid", file, place, expected="a class's name", found=shown(said))
    if not isinstance(entry, dict):
        return RawLabel(name, None, place)
    return _object(file, place, name, entry)


def _object(file: str, place: str, name: str, entry: dict[str, Any]) -> RawLabel | Problem:
    crowd = flag(entry.get("isCrowd"))
    if "polygon" in entry:
        parts = flat_polygons(entry["polygon"])
        if parts is None:
            expected, found = "[[x1, y1, x2, y2, x3, y3, …], …] in shares of the image", shown(entry["polygon"])
            return problem("polygon-invalid", file, place, expected=expected, found=found)
        return RawLabel(name, bounds(parts), place, crowd, parts, shares=True)
    corners = reals(entry.get(corner) for corner in _CORNERS)
    if corners is None:
        expected, found = f"{', '.join(_CORNERS)} in shares of the image", shown(entry)
        return problem("box-invalid", file, place, expected=expected, found=found)
    left, top, right, bottom = corners
    return RawLabel(name, (left, top, right, bottom), place, crowd, shares=True)
