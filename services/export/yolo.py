"""YOLO's text files with Ultralytics' layout: `data.yaml`, `train.txt` and `val.txt`, and a label file an image.

The files of a zip that is unpacked beside the loop's `images/`; Ultralytics finds the label of `images/a/b.jpg` in
`labels/a/b.txt`. Numbers are in shares of the displayed image. An image without objects has an empty file. The format
knows no crowds, and an outline is one polygon: each part of an object is a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.datasets.splits import Side
from services.errors import Conflict
from services.export.images import ExportImage, Images
from services.export.zipped import Entry, zipped
from services.labels.annotation import Annotation

_DIGITS = 6
_LISTS: dict[Side, str] = {"train": "train.txt", "validation": "val.txt"}


def yolo(images: Images, classes: Sequence[str]) -> Iterator[bytes]:
    """A zip file, in pieces.

    Raises:
        Conflict: two images would share a label file.
    """
    return zipped(_entries(images, classes))


def _entries(images: Images, classes: Sequence[str]) -> Iterator[Entry]:
    yield "data.yaml", [_data(classes)]
    for side, name in _LISTS.items():
        yield name, (f"./images/{image.path}\n".encode() for image in images() if image.side == side)
    numbers = {name: number for number, name in enumerate(classes)}
    taken: dict[str, str] = {}
    for image in images():
        name = label_file(image.path)
        if other := taken.get(name):
            raise Conflict(f"{other} and {image.path} would share {name}: rename one of the images")
        taken[name] = image.path
        yield name, [label(image, numbers)]


def label_file(path: str) -> str:
    """The label file of an image below `images/`."""
    folder, slash, base = path.rpartition("/")
    return f"labels/{folder}{slash}{base.rpartition('.')[0] or base}.txt"


def _data(classes: Sequence[str]) -> bytes:
    import yaml

    content = {"path": ".", "train": "train.txt", "val": "val.txt", "names": dict(enumerate(classes))}
    return bytes(yaml.safe_dump(content, allow_unicode=True, sort_keys=False, encoding="utf-8"))


def label(image: ExportImage, numbers: dict[str, int]) -> bytes:
    """The lines of one image; `numbers` of the classes."""
    lines = (line for a in image.annotations for line in _lines(a, numbers[a.label]))
    return "".join(lines).encode()


def _lines(annotation: Annotation, number: int) -> Iterator[str]:
    if annotation.polygons:
        yield from (_line(number, polygon) for polygon in annotation.polygons)
    elif annotation.box:
        left, top, right, bottom = annotation.box
        yield _line(number, ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top))


def _line(number: int, values: Sequence[float]) -> str:
    return f"{number} {' '.join(f'{value:.{_DIGITS}f}' for value in values)}\n"
