"""The `segmentation` of COCO's annotations: polygons, or a mask, which is outlined."""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

from services.labels.annotation import Polygon
from services.labels.rle import outlines, read_mask
from services.labels.values import number


class Outline(NamedTuple):
    """Polygons in the file's unit; those of a mask are in pixels, and `size` is then its width and height."""

    polygons: tuple[Polygon, ...]
    size: tuple[int, int] | None = None


NOTHING = Outline(())


def read_outline(value: Any) -> Outline | None:
    """The outline; NOTHING where there is none; None where what there is cannot be read."""
    if not value:
        return NOTHING
    if isinstance(value, dict):
        mask = read_mask(value)
        return mask and Outline(outlines(mask), (mask.width, mask.height))
    if not isinstance(value, list):
        return None
    polygons = [_polygon(part) for part in (value if isinstance(value[0], list) else [value])]
    return None if None in polygons else Outline(tuple(p for p in polygons if p is not None))


def _polygon(value: Any) -> Polygon | None:
    if not isinstance(value, list):
        return None
    found = tuple(number(n) for n in value if not isinstance(n, str))
    kept = tuple(n for n in found if n is not None)
    return kept if len(kept) == len(value) else None


class Outlines:
    """Those of many annotations by row, as columns of numbers; a tuple of floats would take four times the memory."""

    def __init__(self) -> None:
        self._numbers, self._lengths = array("d"), array("l")
        self._at: dict[int, tuple[int, int, int]] = {}
        self._sizes: dict[int, tuple[int, int]] = {}

    def add(self, row: int, outline: Outline) -> None:
        if not outline.polygons:
            return
        self._at[row] = len(self._numbers), len(self._lengths), len(outline.polygons)
        for polygon in outline.polygons:
            self._numbers.extend(polygon)
            self._lengths.append(len(polygon))
        if outline.size:
            self._sizes[row] = outline.size

    def of(self, row: int) -> Outline:
        at, first, count = self._at.get(row, (0, 0, 0))
        polygons: list[Polygon] = []
        for length in self._lengths[first : first + count]:
            polygons.append(tuple(self._numbers[at : at + length]))
            at += length
        return Outline(tuple(polygons), self._sizes.get(row))
