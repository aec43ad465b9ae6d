"""What a COCO file says of its images and boxes, as columns: objects would take several times the memory."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

_MOST = 2e7
"""Hundredths of it fit into 32 bits."""


class Images:
    """The listed images by number."""

    def __init__(self) -> None:
        self._at: array[int] = array("i")
        self._names, self._ends = bytearray(), array("q", [0])
        self._widths, self._heights, self._indices = array("i"), array("i"), array("i")

    def __contains__(self, image: int) -> bool:
        return image < len(self._at) and self._at[image] >= 0

    def add(self, image: int, name: str, size: tuple[int, int], index: int) -> None:
        self._at.extend([-1] * (image + 1 - len(self._at)))
        self._at[image] = len(self._widths)
        self._names += name.encode()
        self._ends.append(len(self._names))
        self._widths.append(size[0])
        self._heights.append(size[1])
        self._indices.append(index)

    def name(self, image: int) -> str:
        start, end = self._ends[self._at[image] : self._at[image] + 2]
        return self._names[start:end].decode()

    def size(self, image: int) -> tuple[int, int]:
        return self._widths[self._at[image]], self._heights[self._at[image]]

    def index(self, image: int) -> int:
        return self._indices[self._at[image]]


class Boxes:
    """Four numbers a row. As hundredths, in half the memory, as long as all of them are such, as COCO's are."""

    def __init__(self) -> None:
        self._hundredths: array[int] | None = array("i")
        self._numbers: array[float] = array("d")

    def append(self, box: Sequence[float]) -> None:
        if self._hundredths is None:
            self._numbers.extend(box)
        elif max(box) < _MOST and min(box) > -_MOST and _are_hundredths(box, whole := [round(100 * n) for n in box]):
            self._hundredths.extend(whole)
        else:
            self._numbers = array("d", (n / 100 for n in self._hundredths))
            self._numbers.extend(box)
            self._hundredths = None

    def of(self, row: int) -> Sequence[float]:
        """The four numbers of a row, exactly as they were given."""
        part = slice(4 * row, 4 * row + 4)
        if self._hundredths is None:
            return self._numbers[part]
        return [n / 100 for n in self._hundredths[part]]


def _are_hundredths(box: Sequence[float], whole: Sequence[int]) -> bool:
    return [n / 100 for n in whole] == [*box]
