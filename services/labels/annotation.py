"""An annotation as everything after the readers knows it."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""Left, top, right, bottom; in shares of the displayed image's width and height where not said otherwise."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object of a class; `box` is None where a whole image is of the class. Boxes are within 0 to 1."""

    label: str
    box: Box | None = None
    is_crowd: bool = False
