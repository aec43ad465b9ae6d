"""Which column of a CSV file says what: by the names in its header, or as Google's AutoML Vision has them without one.

Contracts: the `*_labels.csv` of TensorFlow's object detection tutorials; Google Cloud, "Formatting a training data CSV"
(AutoML Vision); Open Images' `*-annotations-bbox.csv`; and any table of images and classes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

DELIMITERS = ",;\t|"
_SETS = {"train", "training", "validation", "validate", "test", "unassigned"}
_NAMES = {
    "image": ("filename", "file_name", "image", "image_name", "imageid", "image_id", "path", "image_path", "file"),
    "label": ("class", "label", "labelname", "label_name", "class_name", "classname", "category"),
    "left": ("xmin", "x_min", "x1", "left"),
    "top": ("ymin", "y_min", "y1", "top"),
    "right": ("xmax", "x_max", "x2", "right"),
    "bottom": ("ymax", "y_max", "y2", "bottom"),
    "width": ("width", "image_width", "img_width"),
    "height": ("height", "image_height", "img_height"),
    "crowd": ("iscrowd", "isgroupof"),
    "confidence": ("confidence",),
}
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CORNERS = ("left", "top", "right", "bottom")


@dataclass(frozen=True, slots=True)
class Layout:
    """Cells by what they say. `box` are those of x, y, x, y, …; empty where images are of classes as a whole."""

    delimiter: str
    image: int
    labels: slice
    box: tuple[int, ...] = ()
    width: int | None = None
    height: int | None = None
    crowd: int | None = None
    confidence: int | None = None
    header: bool = True
    shares: bool = False
    """Whether the contract says that boxes are in shares of the image."""


def cells(text: str, delimiter: str) -> list[str] | None:
    """The cells of one line; None where a quote is not closed on it or a cell is too long."""
    try:
        found = next(csv.reader((text,), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None
    return [cell.strip() for cell in found]


def layout_of(line: str) -> Layout | None:
    """The layout that a file's first line tells, None where it is of none."""
    for delimiter in DELIMITERS:
        found = cells(line, delimiter)
        if found and len(found) > 1 and (layout := _headed(found, delimiter) or _google(found, delimiter)):
            return layout
    return None


def _headed(names: Sequence[str], delimiter: str) -> Layout | None:
    lower = [name.lower() for name in names]
    at = {what: next((lower.index(n) for n in known if n in lower), None) for what, known in _NAMES.items()}
    image, label = at["image"], at["label"]
    corners = tuple(n for c in _CORNERS if (n := at[c]) is not None)
    if image is None or label is None or len(corners) not in {0, len(_CORNERS)}:
        return None
    labels, open_images = slice(label, label + 1), lower[label] == "labelname" and lower[image] == "imageid"
    sizes = at["width"], at["height"]
    return Layout(delimiter, image, labels, corners, *sizes, at["crowd"], at["confidence"], shares=open_images)


def _google(found: Sequence[str], delimiter: str) -> Layout | None:
    """`set,path,label` and more labels, or eight cells for two or four corners; older files have no set."""
    image = int(found[0].lower() in _SETS)
    if (
        delimiter != ","
        or len(found) < image + 2
        or not (_ADDRESS.match(found[image]) or (image and "." in found[image]))
    ):
        return None
    first = image + 2
    if len(found) < first + 6:
        return Layout(delimiter, image, slice(image + 1, None), header=False)
    box = tuple(range(first, first + 8))
    return Layout(delimiter, image, slice(image + 1, first), box, header=False, shares=True)
