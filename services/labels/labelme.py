"""LabelMe JSON: one file an image, named as the image, in pixels of the displayed image.

Contract: LabelMe's own writer, `label_file.py`: `shapes` of a `shape_type` with `points`, `imagePath`, `imageWidth`,
`imageHeight`, `flags` of the image, and the whole picture once more as text in `imageData`, which is not kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from services.labels.annotation import Polygon
from services.labels.heads import json_head
from services.labels.json_stream import members
from services.labels.masks import picture_counts, row_outlines
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading, with_problems
from services.labels.references import image_path
from services.labels.shapes import ellipse, polygon_of_points
from services.labels.values import bounds, class_name, shown, side
from services.labels.whole_file import all_or_nothing
from services.state import Problem

Found = RawLabel | Problem
_OWN = {"shapes", "imagePath", "imageData"}
_KEPT = {"imagePath", "imageWidth", "imageHeight", "flags"}


class LabelmeReader:
    """One file for one image."""

    name = "labelme"
    per_image = True

    def accepts(self, head: bytes) -> bool:
        found = json_head(head)
        return found.kind == "object" and bool(found.names & _OWN)

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        return all_or_nothing(file, _readings(file, chunks))


def _readings(file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
    content: dict[str, Any] = {}
    found: list[tuple[object, Found]] = []
    listed = False
    for name, index, value in members(chunks, skip=frozenset({"imageData"})):
        if name == "shapes" and index >= 0:
            found.append((_group(value), _shape(file, f"shapes[{index}]", value)))
        elif name == "shapes":
            listed = value is None
        elif name in _KEPT and index < 0:
            content[name] = value
    if not listed:
        yield problem("labelme-structure", file, expected="the list shapes", found="none")
        return
    labels = _joined(found) if found else _classes(file, content.get("flags"))
    width, height = side(content.get("imageWidth")), side(content.get("imageHeight"))
    record = ImageRecord(image_path(content.get("imagePath")) or "", "shapes", width=width, height=height)
    yield from with_problems(record, labels)


def _group(shape: Any) -> object:
    """The number of the object that a shape is a part of, or None."""
    found = shape.get("group_id") if isinstance(shape, dict) else None
    return found if isinstance(found, int | str) else None


def _joined(found: Iterable[tuple[object, Found]]) -> Iterator[Found]:
    """Outlines of one class and group are parts of one object, as LabelMe's own converters take them."""
    objects: dict[object, RawLabel] = {}
    for index, (group, each) in enumerate(found):
        if isinstance(each, Problem):
            yield each
            continue
        key = (each.label, group) if group is not None and each.polygons else index
        first = objects.get(key)
        polygons = (*first.polygons, *each.polygons) if first else each.polygons
        objects[key] = replace(first, polygons=polygons, box=bounds(polygons)) if first else each
    yield from objects.values()


def _classes(file: str, flags: Any) -> Iterator[Found]:
    """An image without shapes is of the classes that are flagged; of none, and so a negative, where none is."""
    for said, value in flags.items() if isinstance(flags, dict) else ():
        name = class_name(said)
        if value is True and name is None:
            yield problem("class-invalid", file, "flags", expected="a class's name", found=shown(said))
        elif value is True and name is not None:
            yield RawLabel(name, None, "flags")


def _shape(file: str, place: str, shape: Any) -> Found:
    content = shape if isinstance(shape, dict) else {}
    name, kind = class_name(content.get("label")), str(content.get("shape_type") or "polygon")
    read = _SHAPES.get(kind)
    if name is None:
        found = shown(content.get("label", shape))
        return problem("class-invalid", file, f"{place}.label", expected="a class's name", found=found)
    if read is None:
        expected = "rectangle, polygon, circle or mask"
        return problem("shape-unsupported", file, f"{place}.shape_type", expected=expected, found=shown(kind))
    points = polygon_of_points(content.get("points"))
    if points is None or len(points) < read.fewest:
        code = "polygon-invalid" if kind == "polygon" else "box-invalid"
        expected = f"[[x, y], …] in pixels, at least {read.fewest // 2} of them"
        return problem(code, file, f"{place}.points", expected=expected, found=shown(content.get("points")))
    label = read.label(name, place, points)
    return _outlined(file, label, content.get("mask")) if kind == "mask" else label


def _rectangle(name: str, place: str, points: Polygon) -> RawLabel:
    """Two opposite corners in any order; some editions write all four."""
    return RawLabel(name, bounds([points]), place)


def _polygon(name: str, place: str, points: Polygon) -> RawLabel:
    return RawLabel(name, bounds([points]), place, polygons=(points,))


def _circle(name: str, place: str, points: Polygon) -> RawLabel:
    """The middle and a point on the circle."""
    x, y, edge_x, edge_y = points[:4]
    radius = math.hypot(edge_x - x, edge_y - y)
    return _polygon(name, place, ellipse(x, y, radius, radius))


def _mask(name: str, place: str, points: Polygon) -> RawLabel:
    """The first and the last pixel of the mask's box."""
    left, top, right, bottom = bounds([points])
    return RawLabel(name, (left, top, right + 1, bottom + 1), place)


def _outlined(file: str, label: RawLabel, picture: object) -> Found:
    """A mask whose pixels are there as a picture of its box; older files have the box alone."""
    if picture is None or label.box is None:
        return label
    left, top, right, bottom = label.box
    size = int(right - left), int(bottom - top)
    counts = picture_counts(picture, size)
    polygons = row_outlines(counts, left, top, size) if counts else ()
    if not polygons:
        expected = f"a PNG of {size[0]} x {size[1]} pixels in base64, not all of them 0"
        return problem("polygon-invalid", file, f"{label.place}.mask", expected=expected, found=shown(picture))
    return replace(label, box=bounds(polygons), polygons=polygons)


class _Read(NamedTuple):
    """How many numbers a shape's points have at least, and what they are."""

    fewest: int
    label: Callable[[str, str, Polygon], RawLabel]


_SHAPES = {
    "rectangle": _Read(4, _rectangle),
    "polygon": _Read(6, _polygon),
    "rotation": _Read(6, _polygon),
    "oriented_rectangle": _Read(8, _polygon),
    "circle": _Read(4, _circle),
    "mask": _Read(4, _mask),
}
