"""Shapes as tools write them, brought to boxes and flat polygons (x1, y1, x2, y2, …) in the unit that they came in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain

from services.labels.annotation import Box, Polygon

CORNERS = 64
"""Of a polygon that stands for an ellipse: off by 0.12 % of its radius; a multiple of 4, so its box is exact."""


MOST = 1e9
"""Larger coordinates and angles are refused, so that what is computed of them is finite."""


def reals(values: Iterable[object]) -> tuple[float, ...] | None:
    """JSON numbers, or None where one is anything else, as a text that looks like a number."""
    found: list[float] = []
    for value in values:
        if not isinstance(value, float | int) or isinstance(value, bool) or not -MOST <= value <= MOST:
            return None
        found.append(float(value))
    return tuple(found)


def written_reals(texts: Iterable[str | None]) -> tuple[float, ...] | None:
    """Numbers in the texts of XML, or None where one is none."""
    try:
        found = tuple(float(text or "") for text in texts)
    except ValueError:
        return None
    return found if all(-MOST <= number <= MOST for number in found) else None


def flat_polygons(value: object) -> tuple[Polygon, ...] | None:
    """`[[x1, y1, x2, y2, …], …]`, at least one of them, or None."""
    if not isinstance(value, list) or not value or not all(isinstance(part, list) for part in value):
        return None
    found = [reals(part) for part in value]
    return tuple(f for f in found if f) if all(found) else None


def polygon_of_points(value: object) -> Polygon | None:
    """`[[x, y], …]` as one flat polygon, or None."""
    if not isinstance(value, list) or not all(isinstance(point, list) and len(point) == 2 for point in value):
        return None
    return reals(chain.from_iterable(value)) or None


def turned(box: Box, degrees: float, about: tuple[float, float]) -> Polygon:
    """The corners of a box that is turned clockwise, as it is seen with y downwards; in pixels, not in shares."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    left, top, right, bottom = box
    found: list[float] = []
    for x, y in ((left, top), (right, top), (right, bottom), (left, bottom)):
        dx, dy = x - about[0], y - about[1]
        found += (about[0] + dx * cosine - dy * sine, about[1] + dx * sine + dy * cosine)
    return tuple(found)


def ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0.0) -> Polygon:
    """A polygon on an ellipse around a point, turned clockwise."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    found: list[float] = []
    for step in range(CORNERS):
        angle = 2 * math.pi * step / CORNERS
        dx, dy = radius_x * math.cos(angle), radius_y * math.sin(angle)
        found += (x + dx * cosine - dy * sine, y + dx * sine + dy * cosine)
    return tuple(found)


def flag(value: object) -> bool:
    """Whether a value means yes: tools write true, 1 and "true"."""
    return value in (True, "1", "true", "True")
