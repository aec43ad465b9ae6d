"""A user's own folder: images with Pascal VOC files or COCO documents, some of them held out."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from defusedxml import ElementTree
from PIL import Image

from demo.examples import Box, Example, Thing
from demo.source import Source, Upload, config
from devtools.folders import IMAGES, is_image, loop_path, visible_files

TEST = {"test", "testing"}
ONE_IN = 8
"""Where no folder is named `test`, one image in so many is held out."""
EPOCHS, EPOCHS_FAST = 12, 6
Truth = dict[str, tuple[Thing, ...]]


class Unusable(Exception):
    """The folder holds nothing that can be learnt from; the message says what was looked for."""


def read_folder(folder: Path, loop: str | None, seed: int, *, fast: bool) -> Source:
    """A source of a folder's files; its own loop.yaml is taken where it has one.

    Raises:
        Unusable: no images, or no labels.
    """
    found = _Folder(folder, seed)
    own = folder / "loop.yaml"
    return Source(
        loop or loop_name(folder.resolve().name),
        [*found.uploads()],
        [*found.examples()],
        own.read_bytes() if own.exists() else config(10, 2, EPOCHS_FAST if fast else EPOCHS),
        f"{len(found.kept)} images of {folder.name} with {found.described}, and {len(found.held_out)} held out",
    )


def loop_name(text: str) -> str:
    """A loop's name: lower-case letters, digits and hyphens, beginning with a letter."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (name if name[:1].isalpha() else f"loop-{name}".rstrip("-"))[:24].rstrip("-")


class _Folder:
    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        files = visible_files(folder)
        images = [f for f in files if is_image(f)]
        self._voc = [f for f in files if f.suffix.lower() == ".xml"]
        documents = ((f, _coco(f)) for f in files if f.suffix.lower() == ".json")
        self._coco = {f: document for f, document in documents if document is not None}
        if not images:
            raise Unusable(f"{folder} holds no images ({', '.join(sorted(IMAGES))})")
        if not self._voc and not self._coco:
            raise Unusable(f"{folder} holds no labels: Pascal VOC files (.xml) or COCO documents (.json)")
        self.held_out = _held_out(images, folder, seed)
        self.kept = [f for f in images if f not in set(self.held_out)]

    @property
    def described(self) -> str:
        """The kinds of labels."""
        kinds = {"Pascal VOC": self._voc, "COCO": self._coco}
        return " and ".join(f"{name} labels" for name, found in kinds.items() if found)

    def uploads(self) -> Iterator[Upload]:
        """Images, then labels of what is not held out."""
        hidden = {(f.parent, f.stem) for f in self.held_out}
        folders = {f.parent for f in self.kept}
        stems = {f.stem for f in self.held_out} - {f.stem for f in self.kept}
        yield from (Upload(self._name("images", f), f) for f in self.kept)
        for file in self._voc:
            if (file.parent, file.stem) not in hidden and file.stem not in stems:
                yield Upload(self._name("images" if file.parent in folders else "labels", file), file)
        for file, document in self._coco.items():
            kept = _without(document, self._folder, self.held_out)
            if kept["images"]:
                yield Upload(self._name("labels", file), json.dumps(kept).encode())

    def examples(self) -> Iterator[Example]:
        """What is held out, with what is known to be on it."""
        truths = [_coco_truth(d) for d in self._coco.values()]
        for image in self.held_out:
            things = self._voc_truth(image) or next((t[k] for t in truths if (k := _key(image, t))), ())
            with Image.open(image) as opened:
                width, height = opened.size
            yield Example(image.relative_to(self._folder).as_posix(), image.read_bytes(), width, height, things)

    def _voc_truth(self, image: Path) -> tuple[Thing, ...]:
        same = [f for f in self._voc if f.stem == image.stem]
        beside = [f for f in same if f.parent == image.parent]
        return tuple(thing for file in (beside or same)[:1] for thing in _voc_things(file))

    def _name(self, where: str, file: Path) -> str:
        return loop_path(file.relative_to(self._folder), where)


def _held_out(images: Sequence[Path], folder: Path, seed: int) -> list[Path]:
    tests = [f for f in images if TEST & {part.lower() for part in f.relative_to(folder).parts[:-1]}]
    return tests or sorted(random.Random(seed).sample(images, max(1, len(images) // ONE_IN)))


def _coco(file: Path) -> dict[str, Any] | None:
    """The document, or None for other JSON."""
    try:
        found = json.loads(file.read_bytes())
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"images", "annotations", "categories"} <= set(found) else None


def _without(document: dict[str, Any], folder: Path, held_out: Sequence[Path]) -> dict[str, Any]:
    """The document without images that are held out, and so without their boxes."""
    hidden = {part for f in held_out for part in (f.relative_to(folder).as_posix(), f.name)}
    kept = [i for i in document["images"] if i["file_name"].removeprefix("images/") not in hidden]
    numbers = {i["id"] for i in kept}
    boxes = [a for a in document["annotations"] if a["image_id"] in numbers]
    return {**document, "images": kept, "annotations": boxes}


def _coco_truth(document: dict[str, Any]) -> Truth:
    names = {c["id"]: c["name"] for c in document["categories"]}
    found: dict[Any, list[Thing]] = {i["id"]: [] for i in document["images"]}
    for box in document["annotations"]:
        left, top, width, height = box["bbox"]
        found[box["image_id"]].append(Thing(names[box["category_id"]], (left, top, left + width, top + height)))
    return {i["file_name"]: tuple(found[i["id"]]) for i in document["images"]}


def _key(image: Path, truth: Truth) -> str | None:
    """The document's name for an image: a path or its last part."""
    return next((name for name in truth if image.as_posix().endswith(f"/{name}")), None)


def _voc_things(file: Path) -> Iterator[Thing]:
    for element in ElementTree.parse(file).iter("object"):
        corners = [float(element.findtext(f"bndbox/{k}") or 0) for k in ("xmin", "ymin", "xmax", "ymax")]
        box: Box = (corners[0], corners[1], corners[2], corners[3])
        yield Thing(str(element.findtext("name")).strip(), box)
