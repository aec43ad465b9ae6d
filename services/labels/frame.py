"""The displayed image that boxes and polygons are held against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.labels.annotation import Box, Polygon
from services.labels.record import RawLabel

TOLERANCE = 1.0
"""Pixels that a label may reach beyond its image and be cut: tools round, and some count from one."""
TOLD = 0.01
"""Pixels beyond that are not worth a note: shares with six digits round to that."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """An image's size in pixels as displayed; `rotated` where EXIF makes it differ from the stored size."""

    width: int
    height: int
    rotated: bool = False

    def beyond(self, box: Box) -> float:
        """How many pixels a box reaches beyond the image; not above 0 where it is within."""
        left, top, right, bottom = box
        return max(-left, -top, right - self.width, bottom - self.height)

    def is_whole(self, box: Box) -> bool:
        """Whether a box is around the whole image, within TOLERANCE, or is of zeros only, as where there is none."""
        whole = (0, 0, self.width, self.height)
        return not any(box) or all(abs(one - other) <= TOLERANCE for one, other in zip(box, whole, strict=True))

    def shares(self, numbers: Sequence[float]) -> Polygon:
        """Pixels, x and y by turns, cut to the image and in shares of it."""
        return tuple(_share(n, self.height if i % 2 else self.width) for i, n in enumerate(numbers))

    def in_pixels(self, label: RawLabel) -> RawLabel:
        """The same label in pixels, whatever its unit."""
        if not label.shares:
            return label
        box = label.box and self._scaled_box(label.box)
        return replace(label, box=box, polygons=tuple(map(self._scaled, label.polygons)), shares=False)

    def _scaled_box(self, box: Box) -> Box:
        left, top, right, bottom = self._scaled(box)
        return left, top, right, bottom

    def _scaled(self, numbers: Sequence[float]) -> Polygon:
        return tuple(n * (self.height if i % 2 else self.width) for i, n in enumerate(numbers))


def _share(value: float, whole: int) -> float:
    return round(min(max(value, 0.0), float(whole)) / whole, _DIGITS)


def finite(numbers: Sequence[float]) -> bool:
    """Whether there is neither NaN nor infinity among them."""
    return all(map(math.isfinite, numbers))
