"""A user's own folder: images with labels in any format that the app reads, some of them held out."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from demo.examples import Example, Thing
from demo.source import Source, Upload, config
from devtools.checking.known import Known, known
from devtools.folders import IMAGES, is_image, loop_files
from services.catalogue.paths import CODE, kind_of
from services.catalogue.resolve import Member
from services.labels.annotation import Annotation
from services.names import CONFIG_FILE

TEST = {"test", "testing"}
LEAST = 3
"""Letters of a loop's name."""
ONE_IN = 8
"""Where no folder is named `test`, one image in so many is held out."""
EPOCHS, EPOCHS_FAST = 12, 6


class Unusable(Exception):
    """The folder holds nothing that can be learnt from; the message says what was looked for."""


def read_folder(folder: Path, loop: str | None, seed: int, *, fast: bool) -> Source:
    """A source of a folder's files; its own loop.yaml is taken where it has one.

    Raises:
        Unusable: no images, or no labels.
    """
    files = loop_files(folder)
    own = files.pop(CONFIG_FILE, None)
    images = [path for path, file in files.items() if is_image(file) and not path.startswith(CODE)]
    if not images:
        raise Unusable(f"{folder} holds no images ({', '.join(sorted(IMAGES))})")
    found = known(files, own)
    if not found.members:
        raise Unusable(f"{folder} holds no labels: `python3 dev.py check {folder}` says what was looked for")
    held_out = _held_out(images, found, seed)
    uploads = list(_uploads(files, found, set(held_out)))
    epochs = EPOCHS_FAST if fast else EPOCHS
    kept = len(images) - len(held_out)
    return Source(
        loop or loop_name(folder.resolve().name),
        uploads,
        [_example(files[path], found.members[path]) for path in held_out],
        own.read_bytes() if own else config(10, 2, epochs, found.task or "object_detection"),
        f"{kept} images of {folder.name} for {(found.task or '').replace('_', ' ')}, and {len(held_out)} held out",
    )


def loop_name(text: str) -> str:
    """A loop's name: lower-case letters, digits and hyphens, beginning with a letter."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    is_name = name[:1].isalpha() and len(name) >= LEAST
    return (name if is_name else f"loop-{name}".rstrip("-"))[:24].rstrip("-")


def _held_out(images: Sequence[str], found: Known, seed: int) -> list[str]:
    """Labelled images only: the model is judged by them."""
    labelled = [path for path in images if path in found.members]
    tests = [path for path in labelled if TEST & {part.lower() for part in PurePosixPath(path).parts[:-1]}]
    return tests or sorted(random.Random(seed).sample(labelled, max(1, len(labelled) // ONE_IN)))


def _uploads(files: Mapping[str, Path], found: Known, held_out: set[str]) -> Iterator[Upload]:
    """A training script, images, then label files; what is about held-out images only stays here."""
    for path, file in sorted(files.items(), key=lambda item: (not item[0].startswith(CODE), not is_image(item[1]))):
        about = found.about.get(path, frozenset())
        is_read = path.startswith(CODE) or kind_of(path, file.stat().st_size) in {"image", "label", "class list"}
        if is_read and path not in held_out and not (about and about <= held_out):
            yield Upload(path, file)


def _example(file: Path, member: Member) -> Example:
    frame = member.facts.frame
    things = tuple(_thing(a, frame.width, frame.height) for a in member.annotations)
    return Example(member.path, file.read_bytes(), frame.width, frame.height, things)


def _thing(annotation: Annotation, width: int, height: int) -> Thing:
    if annotation.box is None:
        return Thing(annotation.label, None)
    left, top, right, bottom = annotation.box
    return Thing(annotation.label, (left * width, top * height, right * width, bottom * height))
