"""Holds the polygons of a label against the image that they are about."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from services.labels.annotation import Annotation, Polygon
from services.labels.frame import TOLD, TOLERANCE, Frame, finite
from services.labels.problems import problem
from services.labels.record import RawLabel
from services.labels.values import bounds, shown
from services.state import Problem

FEWEST_NUMBERS = 6
"""Three points."""
LEAST_AREA = 1e-6
"""Square pixels; what is less is a line that was rounded."""
_FATAL = {"polygon-invalid", "polygon-outside"}


def check_outlines(file: str, label: RawLabel, frame: Frame) -> Iterator[Annotation | Problem]:
    """Yield the label, in pixels, as annotation in shares, and its problems.

    A part without area is left out by itself: tools leave slivers behind. Any other bad part spoils the whole label,
    since an object that lacks a part would teach something wrong.
    """
    found = [
        each for number, polygon in enumerate(label.polygons) for each in _check(file, label, number, polygon, frame)
    ]
    problems = [each for each in found if isinstance(each, Problem)]
    parts = tuple(each for each in found if not isinstance(each, Problem))
    yield from problems
    if parts and not any(p.code in _FATAL for p in problems):
        yield Annotation(label.label, bounds(parts), label.is_crowd, parts)


def _check(file: str, label: RawLabel, number: int, polygon: Polygon, frame: Frame) -> Iterator[Polygon | Problem]:
    place = f"{label.place}.polygon[{number}]"
    if len(polygon) < FEWEST_NUMBERS or len(polygon) % 2 or not finite(polygon):
        expected = "x and y, finite, of at least three points"
        yield problem("polygon-invalid", file, place, expected=expected, found=shown(polygon))
        return
    beyond = frame.beyond(bounds([polygon]))
    if beyond > TOLD:
        code = "polygon-outside" if beyond > TOLERANCE else "polygon-clamped"
        expected = f"points within {frame.width} x {frame.height} pixels"
        yield problem(code, file, place, expected=expected, found=f"one {beyond:g} pixels beyond")
    if beyond <= TOLERANCE:
        yield from _with_area(file, place, polygon, frame)


def _with_area(file: str, place: str, polygon: Polygon, frame: Frame) -> Iterator[Polygon | Problem]:
    shares = frame.shares(polygon)
    left, top, right, bottom = bounds([shares])
    if left < right and top < bottom and _extent(polygon) > LEAST_AREA:
        yield shares
    else:
        yield problem("polygon-empty", file, place, expected="an area within the image", found=shown(polygon))


def _extent(polygon: Polygon) -> float:
    """The triangles from the first point to each side, added up without sign: nothing only where all is one line."""
    x0, y0 = polygon[:2]
    points = [(x - x0, y - y0) for x, y in zip(polygon[::2], polygon[1::2], strict=True)]
    return sum(abs(x1 * y2 - x2 * y1) for (x1, y1), (x2, y2) in pairwise(points)) / 2
