"""The shapes of an image in CVAT XML: what they are in pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from services.labels.annotation import Polygon
from services.labels.masks import MOST_COUNTS, row_outlines
from services.labels.problems import problem
from services.labels.record import RawLabel
from services.labels.shapes import ellipse, turned, written_reals
from services.labels.values import bounds, class_name, shown
from services.state import Problem

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Found = RawLabel | Problem


def label_of(file: str, place: str, element: Element) -> Iterator[Found]:
    """The label that a child of `<image>` is, and its problems."""
    name = class_name(element.get("label"))
    read = _SHAPES.get(element.tag)
    if name is None:
        found = shown(element.get("label"))
        yield problem("class-invalid", file, f"{place}/@label", expected="a class's name", found=found)
    elif element.tag == "tag":
        yield RawLabel(name, None, place)
    elif read is None:
        expected = "<box>, <polygon>, <ellipse>, <mask> or <tag>"
        yield problem("shape-unsupported", file, place, expected=expected, found=f"<{element.tag}>")
    else:
        yield from read(file, place, name, element)


def _numbers(element: Element, *names: str) -> tuple[float, ...] | None:
    return written_reals(element.get(name) for name in names)


def _outlined(name: str, place: str, polygons: tuple[Polygon, ...]) -> RawLabel:
    return RawLabel(name, bounds(polygons), place, polygons=polygons)


def _rotation(element: Element) -> float | None:
    """Degrees clockwise about the middle; None where they are no number."""
    found = written_reals([element.get("rotation", "0")])
    return found[0] if found else None


def _box(file: str, place: str, name: str, element: Element) -> Iterator[Found]:
    corners, degrees = _numbers(element, "xtl", "ytl", "xbr", "ybr"), _rotation(element)
    if corners is None or degrees is None:
        expected, found = "xtl, ytl, xbr, ybr in pixels", shown(element.attrib)
        yield problem("box-invalid", file, place, expected=expected, found=found)
        return
    left, top, right, bottom = corners
    if not degrees:
        yield RawLabel(name, (left, top, right, bottom), place)
        return
    expected = "a box without rotation"
    yield problem("box-rotated", file, place, expected=expected, found=f"rotation {degrees:g}")
    middle = (left + right) / 2, (top + bottom) / 2
    yield _outlined(name, place, (turned((left, top, right, bottom), degrees, middle),))


def _polygon(file: str, place: str, name: str, element: Element) -> Iterator[Found]:
    text = element.get("points", "")
    points = [point.split(",") for point in text.split(";")]
    flat = written_reals(n for point in points for n in point)
    if flat is None or any(len(point) != 2 for point in points):
        expected = "points in pixels: x,y;x,y;x,y"
        yield problem("polygon-invalid", file, f"{place}/@points", expected=expected, found=shown(text))
    else:
        yield _outlined(name, place, (flat,))


def _ellipse(file: str, place: str, name: str, element: Element) -> Iterator[Found]:
    numbers, degrees = _numbers(element, "cx", "cy", "rx", "ry"), _rotation(element)
    if numbers is None or degrees is None:
        expected, found = "cx, cy, rx, ry in pixels", shown(element.attrib)
        yield problem("box-invalid", file, place, expected=expected, found=found)
    else:
        x, y, across, down = numbers
        yield _outlined(name, place, (ellipse(x, y, across, down, degrees),))


def _mask(file: str, place: str, name: str, element: Element) -> Iterator[Found]:
    frame = _numbers(element, "left", "top", "width", "height")
    counts = _counts(element.get("rle", ""))
    polygons: tuple[Polygon, ...] = ()
    if frame and counts:
        left, top, width, height = frame
        polygons = row_outlines(counts, left, top, (int(width), int(height)))
    if not polygons:
        expected = "an rle of width times height pixels, with left and top"
        found = shown({key: value for key, value in element.attrib.items() if key != "label"})
        yield problem("polygon-invalid", file, f"{place}/@rle", expected=expected, found=found)
    else:
        yield _outlined(name, place, polygons)


def _counts(text: str) -> list[int] | None:
    parts = text.split(",") if text.count(",") < MOST_COUNTS else [""]
    stripped = [part.strip() for part in parts]
    return (
        [int(part) for part in stripped] if all(p.isascii() and p.isdigit() and len(p) < 10 for p in stripped) else None
    )


_Read = Callable[[str, str, str, "Element"], Iterator[Found]]
_SHAPES: dict[str, _Read] = {"box": _box, "polygon": _polygon, "ellipse": _ellipse, "mask": _mask}
