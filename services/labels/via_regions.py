"""Regions of the VGG Image Annotator (VIA) 1 and 2, whether JSON or a table holds them; in pixels.

Contract: VIA's own code, `pack_via_metadata`: a region has `shape_attributes`, and `region_attributes` that people name
as they like. Ellipses are turned by `theta` in radians.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from services.labels.annotation import Polygon
from services.labels.csv_layout import CLASS_NAMES
from services.labels.problems import problem
from services.labels.record import ImageRecord, RawLabel, Reading, with_problems
from services.labels.references import image_path
from services.labels.shapes import ellipse, flag, reals
from services.labels.values import bounds, class_name, shown
from services.state import Problem

Found = RawLabel | Problem
Region = tuple[str, Any, Any]
"""Its place in the file, shape_attributes and region_attributes."""


class Regions:
    """Reads the regions of a file's images, which all have their classes under one name."""

    def __init__(self, file: str) -> None:
        """Which name that is turns out."""
        self._file, self._attribute = file, ""

    def image(self, place: str, name: Any, attributes: Any, regions: Iterator[Region]) -> Iterator[Reading]:
        """The record of an image; none where it has neither regions nor a class, since VIA lists untouched ones too."""
        image = image_path(name)
        if image is None:
            yield problem("via-structure", self._file, place, expected="the name of an image", found=shown(name))
            return
        named = _named(attributes)
        whole = (RawLabel(found, None, place) for found in _classes(named[1] if named else None))
        *problems, record = with_problems(ImageRecord(image, place), chain(self._labels(regions), whole))
        yield from problems
        if isinstance(record, ImageRecord) and (record.labels or record.broken):
            yield record

    def _labels(self, regions: Iterator[Region]) -> Iterator[Found]:
        for place, said, attributes in regions:
            classes = self._classes(attributes)
            shape = _shape(self._file, place, said) if classes else None
            if isinstance(shape, Problem):
                yield shape
            elif shape is not None:
                yield from (replace(shape, label=name) for name in classes)
            else:
                expected = f"a class as {self._attribute or 'the only attribute, or as one named class or label'}"
                yield problem("class-invalid", self._file, place, expected=expected, found=shown(attributes))

    def _classes(self, attributes: Any) -> tuple[str, ...]:
        """Those of the attribute that is named as classes are, else of the only one, if it is the same in all."""
        found = _named(attributes) or _only(attributes)
        if found is None or self._attribute not in {"", found[0]}:
            return ()
        if classes := _classes(found[1]):
            self._attribute = found[0]
        return classes


def _named(attributes: Any) -> tuple[str, Any] | None:
    said = {name.strip().casefold(): name for name in attributes} if isinstance(attributes, dict) else {}
    known = next((said[name] for name in CLASS_NAMES if name in said), None)
    return None if known is None else (known, attributes[known])


def _only(attributes: Any) -> tuple[str, Any] | None:
    return next(iter(attributes.items())) if isinstance(attributes, dict) and len(attributes) == 1 else None


def _classes(value: Any) -> tuple[str, ...]:
    """A text is a class; of boxes to tick, those that are ticked are."""
    said = [name for name, ticked in value.items() if flag(ticked)] if isinstance(value, dict) else [value]
    found = [class_name(each) for each in said]
    return tuple(name for name in found if name) if all(found) else ()


def _shape(file: str, place: str, shape: Any) -> Found:
    """The label without its class; a rectangle has no outline."""
    content = shape if isinstance(shape, dict) else {}
    kind = str(content.get("name"))
    read = _SHAPES.get(kind)
    if read is None:
        expected = "rect, circle, ellipse or polygon"
        return problem("shape-unsupported", file, place, expected=expected, found=shown(content.get("name", shape)))
    points = read(content)
    if points is None:
        code = "polygon-invalid" if kind == "polygon" else "box-invalid"
        return problem(code, file, place, expected=f"the numbers of a {kind} in pixels", found=shown(shape))
    return RawLabel("", bounds([points]), place, polygons=() if kind == "rect" else (points,))


def _numbers(content: Mapping[str, Any], *names: str) -> tuple[float, ...] | None:
    return reals(content.get(name) for name in names)


def _rect(content: Mapping[str, Any]) -> Polygon | None:
    found = _numbers(content, "x", "y", "width", "height")
    return (found[0], found[1], found[0] + found[2], found[1] + found[3]) if found else None


def _circle(content: Mapping[str, Any]) -> Polygon | None:
    found = _numbers(content, "cx", "cy", "r")
    return ellipse(found[0], found[1], found[2], found[2]) if found else None


def _ellipse(content: Mapping[str, Any]) -> Polygon | None:
    found = _numbers({"theta": 0, **content}, "cx", "cy", "rx", "ry", "theta")
    if found is None:
        return None
    x, y, across, down, theta = found
    return ellipse(x, y, across, down, math.degrees(theta))


def _polygon(content: Mapping[str, Any]) -> Polygon | None:
    xs, ys = content.get("all_points_x"), content.get("all_points_y")
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys) or len(xs) < 3:
        return None
    return reals(chain.from_iterable(zip(xs, ys, strict=True)))


_SHAPES: Mapping[str, Callable[[Mapping[str, Any]], Polygon | None]] = {
    "rect": _rect,
    "circle": _circle,
    "ellipse": _ellipse,
    "polygon": _polygon,
}
