"""One result of a Label Studio annotation: a shape with its classes, or the choices made for an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.labels.annotation import Polygon
from services.labels.problems import problem
from services.labels.record import RawLabel
from services.labels.shapes import ellipse, polygon_of_points, reals, turned
from services.labels.values import bounds, class_name, shown, side
from services.state import Problem

Found = RawLabel | Problem
_NAMES = ("rectanglelabels", "polygonlabels", "ellipselabels", "labels")
_UNREAD = ("brushlabels", "keypointlabels", "bitmasklabels", "vectorlabels", "timeserieslabels", "hypertextlabels")
_UNREAD_TYPES = {"brush", "keypoint", "bitmask", "vector", "videorectangle", "magicwand", "taxonomy", *_UNREAD}
_BARE = {"rectangle", "polygon", "ellipse"}
"""Shapes of a configuration with separate <Labels>, which repeats them with their classes."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """A shape of one result."""

    file: str
    place: str
    value: dict[str, Any]
    result: dict[str, Any]

    def size(self) -> tuple[int, int]:
        """Width and height of the image in pixels, 0 where they are not known."""
        return side(self.result.get("original_width")), side(self.result.get("original_height"))


def is_bare(result: Any) -> bool:
    """Whether it is a shape alone: another result with its id has its class, if it was given one."""
    return isinstance(result, dict) and str(result.get("type")) in _BARE


def has_class(result: Any) -> bool:
    """Whether it is a shape with a class."""
    value = result.get("value") if isinstance(result, dict) else None
    return isinstance(value, dict) and any(name in value for name in _NAMES)


def labels_of_result(file: str, place: str, result: Any) -> Iterator[Found]:
    """The labels of a result, one for each of its classes, and its problems; nothing for texts, ratings and such."""
    content = result if isinstance(result, dict) else {}
    value, kind = content.get("value"), str(content.get("type"))
    if kind in {"relation", *_BARE}:
        return
    if not isinstance(value, dict):
        expected = "a result with a value"
        yield problem("label-studio-structure", file, place, expected=expected, found=shown(result))
    elif kind in _UNREAD_TYPES or any(name in value for name in _UNREAD):
        expected, found = "a box, a polygon, an ellipse or choices", shown(kind)
        yield problem("shape-unsupported", file, place, expected=expected, found=found)
    elif "choices" in value:
        yield from () if _has_shape(value) else _named(file, place, value["choices"], RawLabel("", None, place))
    elif (named := next((name for name in _NAMES if name in value), None)) is not None:
        yield from _shape(file, place, content, value, value[named])


def _has_shape(value: dict[str, Any]) -> bool:
    """Whether choices are about one shape, not the image."""
    return "x" in value or "points" in value


def _named(file: str, place: str, names: Any, label: RawLabel) -> Iterator[Found]:
    for said in names if isinstance(names, list) and names else [names]:
        name = class_name(said)
        if name is None:
            yield problem("class-invalid", file, place, expected="a class's name", found=shown(said))
        else:
            yield RawLabel(name, label.box, place, label.is_crowd, label.polygons, label.shares)


def _shape(file: str, place: str, result: dict[str, Any], value: dict[str, Any], names: Any) -> Iterator[Found]:
    if result.get("image_rotation"):
        found = f"image_rotation {shown(result['image_rotation'])}"
        yield problem("image-turned", file, place, expected="an image that was not turned by hand", found=found)
        return
    for label in _outlined(_Shape(file, place, value, result)):
        yield from [label] if isinstance(label, Problem) else _named(file, place, names, label)


def _outlined(shape: _Shape) -> Iterator[Found]:
    value = shape.value
    if "points" in value:
        outline = polygon_of_points(value["points"])
        if outline is None:
            expected, found = "points: [[x, y], …] in per cent", shown(value["points"])
            yield problem("polygon-invalid", shape.file, shape.place, expected=expected, found=found)
        else:
            yield _label(shape.place, _shares(outline, (100, 100)))
        return
    wanted = ("x", "y", "radiusX", "radiusY") if "radiusX" in value else ("x", "y", "width", "height")
    numbers, degrees = reals(value.get(name) for name in wanted), reals([value.get("rotation") or 0])
    if numbers is None or degrees is None:
        expected = f"{', '.join(wanted)} in per cent"
        yield problem("box-invalid", shape.file, shape.place, expected=expected, found=shown(value))
    elif degrees[0] and not all(shape.size()):
        expected = "original_width and original_height, since it is rotated"
        yield problem("box-invalid", shape.file, shape.place, expected=expected, found=f"rotation {degrees[0]:g}")
    else:
        yield from _drawn(shape, numbers, degrees[0], is_ellipse="radiusX" in value)


def _drawn(shape: _Shape, numbers: tuple[float, ...], degrees: float, *, is_ellipse: bool) -> Iterator[Found]:
    """Turning is done in pixels: in per cent an image that is no square would be sheared."""
    unit = shape.size() if degrees else (1, 1)
    x, y, across, down = (n / 100 * unit[i % 2] for i, n in enumerate(numbers))
    if is_ellipse:
        yield _label(shape.place, _shares(ellipse(x, y, across, down, degrees), unit))
    elif degrees:
        expected, found = "a box without rotation", f"rotation {degrees:g}"
        yield problem("box-rotated", shape.file, shape.place, expected=expected, found=found)
        yield _label(shape.place, _shares(turned((x, y, x + across, y + down), degrees, (x, y)), unit))
    else:
        yield RawLabel("", (x, y, x + across, y + down), shape.place, shares=True)


def _shares(outline: Polygon, unit: tuple[int, int]) -> Polygon:
    return tuple(n / unit[i % 2] for i, n in enumerate(outline))


def _label(place: str, outline: Polygon) -> RawLabel:
    return RawLabel("", bounds([outline]), place, polygons=(outline,), shares=True)
