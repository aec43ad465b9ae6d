"""What a file below a loop's folder is, by its name, and which bucket of the catalogue it belongs to."""

from __future__ import annotations

import zlib
from itertools import dropwhile
from typing import Literal

from services.labels.values import MOST_NAME, UNSAFE
from services.names import CONFIG_FILE

Kind = Literal["image", "label", "class list", "unknown", "misplaced", "unusable", "ignored"]
IMAGES, LABELS, CODE = "images/", "labels/", "code/"
_IMAGE = {"jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff"}
_LABEL = {"json", "jsonl", "manifest", "xml", "txt", "csv", "tsv"}
_LISTS, _LIST_NAMES = {"yaml", "yml", "names"}, {"classes.txt", "labels.txt", "_darknet.labels"}
_IGNORED = {
    "thumbs.db",
    "desktop.ini",
    ".ds_store",
    ".gitkeep",
    ".amlignore",
    "license",
    "readme",
    "readme.md",
    "readme.txt",
    "readme.dataset.txt",
    "readme.roboflow.txt",
    "obj.data",
}


def is_ignored(path: str, size: int) -> bool:
    """Whether a file is no data.

    So are loop.yaml, a training script, what systems leave behind, marks of empty folders, what YOLO's training caches,
    Darknet's settings, and VOC's lists of names for each split.
    """
    base = path.rpartition("/")[2].lower()
    if path == CONFIG_FILE or path.startswith(CODE) or base in _IGNORED or base.startswith("._"):
        return True
    if base.endswith(".cache") or "/imagesets/" in f"/{path.lower()}":
        return True
    return not size and ("." not in base or base.endswith("."))


def kind_of(path: str, size: int) -> Kind:
    """What to do with a file; `path` is below the loop's folder, `size` in bytes."""
    if is_ignored(path, size):
        return "ignored"
    base = path.rpartition("/")[2]
    extension = base.rpartition(".")[2].lower() if "." in base else ""
    if len(path) > MOST_NAME or UNSAFE.search(path) or {"..", "."} & set(path.split("/")):
        return "unusable"
    is_list = extension in _LISTS or base.lower() in _LIST_NAMES
    if not path.startswith((IMAGES, LABELS)):
        return "class list" if is_list and base == path else "misplaced"
    if is_list:
        return "class list"
    if extension in _IMAGE:
        return "image" if path.startswith(IMAGES) else "misplaced"
    return "label" if extension in _LABEL else "unknown"


def below(path: str) -> str:
    """The path below images/ or labels/."""
    return path.partition("/")[2]


def class_folder(path: str) -> str:
    """The class that an image's folder names, `images/<class>/x.jpg` or `images/train/<class>/x.jpg`, or empty."""
    folders = path.split("/")[1:-1]
    telling = [*dropwhile(lambda folder: folder.lower() in _NO_CLASS, folders)]
    return telling[0] if len(telling) == 1 else ""


_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}
_NO_CLASS = _SPLITS | {"images", "jpegimages", "data", "dataset"}


def stem(path: str) -> str:
    """What an image and its labels share: the last part without extension, whatever the case.

    Where a label has its image's extension before its own (`a.jpg.txt`), that is none of it either.
    """
    found = without_extension(path.rpartition("/")[2]).casefold()
    while found.rpartition(".")[2] in _IMAGE and (shorter := found.rpartition(".")[0]):
        found = shorter
    return found


def without_extension(name: str) -> str:
    """A name without what follows its last dot, if anything is left then."""
    return name.rpartition(".")[0] or name


def bucket_of(path: str, count: int) -> int:
    """The bucket of a file, or of a record by the image that it names."""
    return zlib.crc32(stem(path).encode("utf-8", "replace")) % count
