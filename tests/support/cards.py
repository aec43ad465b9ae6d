"""A few real photographs of playing cards, where ../shared/data has them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "playing_cards" / "images"
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Photograph:
    """An image, its Pascal VOC file, and the one class that is on it; boxes in pixels."""

    image: Path
    label: Path
    name: str
    boxes: tuple[Box, ...]


def photographs(split: str, classes: tuple[str, ...]) -> list[Photograph]:
    """Photographs that show one of these classes only, class by class in turn."""
    if not FOLDER.is_dir():
        pytest.skip(f"needs real photographs in {FOLDER.parent}")
    found = [p for p in map(_read, sorted((FOLDER / split).glob("*.xml"))) if p is not None and p.name in classes]
    ranks = {p: [q for q in found if q.name == p.name].index(p) for p in found}
    return sorted(found, key=lambda p: (ranks[p], p.name))


def _read(label: Path) -> Photograph | None:
    root = ET.parse(label).getroot()  # noqa: S314  # our own test data
    objects = root.findall("object")
    names = {str(o.findtext("name")) for o in objects}
    images = [i for i in label.parent.glob(f"{label.stem}.*") if i.suffix.lower() == ".jpg"]
    if len(names) != 1 or not images:
        return None
    return Photograph(images[0], label, names.pop(), tuple(_box(o) for o in objects))


def _box(element: ET.Element) -> Box:
    x1, y1, x2, y2 = (float(element.findtext(f"bndbox/{k}") or 0) for k in ("xmin", "ymin", "xmax", "ymax"))
    return x1, y1, x2, y2


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return width * height / (areas - width * height)
