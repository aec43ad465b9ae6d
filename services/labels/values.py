"""Values of unknown origin: what may become a class, a file name, a number or a size."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Sequence
from itertools import chain

from services.labels.annotation import Box

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, marks that turn the direction of text, halves of characters."""
MOST_CLASS = 256
MOST_NAME = 1024
MOST_NUMBER = 1e12
"""Far beyond any image; sums of larger ones could become infinite, which JSON cannot store."""


def usable_text(value: object, most: int) -> str | None:
    """The text without surrounding white space, or None where it is none, too long, or unsafe to show."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if 0 < len(text) <= most and not UNSAFE.search(text) else None


def class_name(value: object) -> str | None:
    """A class's name, or None."""
    return usable_text(value, MOST_CLASS)


def number(value: object) -> float | None:
    """A number that may be a place in an image, or None; texts as XML has them are numbers too."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) <= MOST_NUMBER else None  # not so NaN


def side(value: object) -> int:
    """A width or height in pixels; 0, which means unknown, where it is no positive number below a million."""
    found = number(value)
    return int(found) if found is not None and 1 <= found < 1e6 else 0


def bounds(polygons: Iterable[Sequence[float]]) -> Box:
    """The box around flat polygons (x1, y1, x2, y2, …), in their unit; without area where they have no point."""
    numbers = [*polygons]
    xs = [*chain.from_iterable(polygon[::2] for polygon in numbers)] or [0.0]
    ys = [*chain.from_iterable(polygon[1::2] for polygon in numbers)] or [0.0]
    return min(xs), min(ys), max(xs), max(ys)


def shown(value: object) -> str:
    """The value as a problem shows it, however large or deep it is."""
    return reprlib.repr(value)
