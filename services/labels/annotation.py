"""An annotation as everything after the readers knows it."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""Left, top, right, bottom; in shares of the displayed image's width and height where not said otherwise."""


Polygon = tuple[float, ...]
"""The corners of an outline, x and y by turns, in the unit of the box that is beside it; it closes by itself."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object of a class; `box` is None where a whole image is of the class. All numbers are within 0 to 1."""

    label: str
    box: Box | None = None
    is_crowd: bool = False
    polygons: tuple[Polygon, ...] = ()
    """The outlines of the object's parts, where the task wants them; `box` is then the box around them all."""
