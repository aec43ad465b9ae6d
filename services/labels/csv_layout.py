"""Which column of a CSV file says what: by the names in its header, or as Google's AutoML Vision has them without one.

Contracts: the `*_labels.csv` of TensorFlow's object detection tutorials; Google Cloud, "Formatting a training data CSV"
(AutoML Vision); Open Images' `*-annotations-bbox.csv`; Roboflow's `_classes.csv`; and any table of images and classes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

DELIMITERS = ",;\t|"
_SETS = {"train", "training", "validation", "validate", "test", "unassigned"}
CLASS_NAMES = ("class", "label", "labelname", "label_name", "class_name", "classname", "category", "choice")
"""What people call that which says a class, the likeliest first."""
_NAMES = {
    "image": (
        *("filename", "file_name", "image", "image_name", "imagename", "imageid", "image_id", "path", "image_path"),
        *("file", "image_file", "img", "img_name", "img_path", "image_url", "url"),
    ),
    "label": CLASS_NAMES,
    "left": ("xmin", "x_min", "x1", "left", "bbox_x"),
    "top": ("ymin", "y_min", "y1", "top", "bbox_y"),
    "right": ("xmax", "x_max", "x2", "right"),
    "bottom": ("ymax", "y_max", "y2", "bottom"),
    "across": ("bbox_width", "box_width", "bbox_w"),
    "down": ("bbox_height", "box_height", "bbox_h"),
    "width": ("image_width", "img_width", "width"),
    "height": ("image_height", "img_height", "height"),
    "crowd": ("iscrowd", "isgroupof"),
    "confidence": ("confidence",),
}
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CORNERS, _SIZED = ("left", "top", "right", "bottom"), ("left", "top", "across", "down")
_SHAPES = {"x", "y", "w", "h", "cx", "cy", "xc", "yc", "x_center", "y_center", "bbox", "box"} | {
    *("polygon", "points", "segmentation", "rle", "encodedpixels"),
}
"""Columns of shapes that are not read: taken for a table of classes, a file with them would lose its boxes."""
_WORDS = re.compile(r"[\s-]+")
_IMAGE = re.compile(r"\.(jpe?g|png|bmp|webp|tiff?)$", re.IGNORECASE)
_FLAGS = {"0", "1", "0.0", "1.0"}


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
    sized: bool = False
    """Whether boxes are x, y, width, height."""
    names: tuple[str, ...] = ()
    """The classes of the cells of `labels`, where these are 1 or 0."""
    unread: tuple[str, ...] = ()
    """Columns of shapes that are of no known kind."""


def cells(text: str, delimiter: str) -> list[str] | None:
    """The cells of one line; None where a quote is not closed on it or a cell is too long."""
    try:
        found = next(csv.reader((text,), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None
    return [cell.strip() for cell in found]


def layout_of(line: str, second: str = "") -> Layout | None:
    """The layout that a file's first line tells, and the second one of tables of 0 and 1; None where it is of none."""
    for delimiter in DELIMITERS:
        found, next_ = cells(line, delimiter), cells(second, delimiter)
        if found and len(found) > 1 and (layout := _told(found, next_ or [], delimiter)):
            return layout
    return None


def _told(found: Sequence[str], second: Sequence[str], delimiter: str) -> Layout | None:
    return (
        _headed(found, delimiter)
        or _flagged(found, second, delimiter)
        or _google(found, delimiter)
        or _retinanet(found, delimiter)
        or _makesense(found, delimiter)
    )


def _columns(names: Sequence[str]) -> dict[str, int | None]:
    lower = [_WORDS.sub("_", name.lower()) for name in names]
    return {what: next((lower.index(n) for n in known if n in lower), None) for what, known in _NAMES.items()}


def _headed(names: Sequence[str], delimiter: str) -> Layout | None:
    lower, at = [name.lower() for name in names], _columns(names)
    image, label = at["image"], at["label"]
    corners, sized = (tuple(n for c in box if (n := at[c]) is not None) for box in (_CORNERS, _SIZED))
    is_sized = len(sized) == len(_SIZED)
    box = sized if is_sized else corners
    if image is None or label is None or len(box) not in {0, len(_CORNERS)}:
        return None
    labels, open_images = slice(label, label + 1), lower[label] == "labelname" and lower[image] == "imageid"
    unread = () if box else tuple(name for name in names if _WORDS.sub("_", name.lower()) in _SHAPES)
    ends = at["width"], at["height"], at["crowd"], at["confidence"]
    return Layout(delimiter, image, labels, box, *ends, shares=open_images, sized=is_sized, unread=unread)


def _flagged(names: Sequence[str], second: Sequence[str], delimiter: str) -> Layout | None:
    """An image, then a column of 0 and 1 for each class."""
    flags, image = second[1:], _columns(names[:1])["image"]
    if image is None or len(names) < 3 or len(second) != len(names) or not _FLAGS.issuperset(flags):
        return None
    return Layout(delimiter, image, slice(1, None), names=tuple(names[1:]))


def _retinanet(found: Sequence[str], delimiter: str) -> Layout | None:
    """Keras RetinaNet's `path,x1,y1,x2,y2,class` without a header."""
    if len(found) != 6 or not _IMAGE.search(found[0]) or not all(cell[:1].isdecimal() for cell in found[1:5]):
        return None
    return Layout(delimiter, 0, slice(5, 6), (1, 2, 3, 4), header=False)


def _makesense(found: Sequence[str], delimiter: str) -> Layout | None:
    """makesense.ai's `class,x,y,width,height,path,image width,image height`, in its older versions without a header."""
    if len(found) != 8 or not _IMAGE.search(found[5]) or not all(cell[:1].isdecimal() for cell in found[1:5]):
        return None
    return Layout(delimiter, 5, slice(0, 1), (1, 2, 3, 4), 6, 7, header=False, sized=True)


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
