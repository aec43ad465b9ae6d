"""The files of dataset versions: a part for each bucket of the catalogue, named by its content and shared by versions.

A bucket that did not change since another version of the loop was written is not even read: its part is known by a key
made of everything that the part depends on. So a version more costs what changed, and no file is ever overwritten.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from services.cloud.ports.storage import BlobStore
from services.datasets.splits import Side
from services.errors import NotFound
from services.state import DatasetVersion

PARTS_FILE = "parts.json"
LEGACY_MEMBERS_FILE = "members.json"
"""Of versions that were written before there were parts: label digest and side by content."""
SIDES: tuple[Side, ...] = ("train", "validation")


@dataclass(frozen=True, slots=True)
class Part:
    """What one bucket came to: names of blobs in the system container, empty where there is nothing to say."""

    key: str
    train: str
    validation: str
    facts: str
    formats: tuple[tuple[str, int], ...] = ()
    """Label files of the bucket, counted by format."""

    @property
    def blobs(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.train, self.validation, self.facts)))


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of an image: the MD5 of its bytes, a digest of its annotations, its side."""

    content: str
    label: str
    side: Side


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A label file as it was read."""

    etag: str
    format: str


@dataclass(slots=True)
class Facts:
    """Who is in a part, and where its labels came from."""

    members: dict[str, Remembered] = field(default_factory=dict)
    """By path below the loop's folder."""
    files: dict[str, LabelFile] = field(default_factory=dict)
    """Label files of the bucket, by path."""
    records: dict[str, int] = field(default_factory=dict)
    """Records about the bucket's images by label file, wherever that file belongs."""


_PARTS, _FACTS = TypeAdapter(list[Part]), TypeAdapter(Facts)
_LEGACY: TypeAdapter[dict[str, tuple[str, Side]]] = TypeAdapter(dict[str, tuple[str, Side]])


def parts_folder(loop: str) -> str:
    """Where the parts of all versions of a loop are."""
    return f"datasets/{loop}/parts/"


def part_blob(loop: str, data: bytes, kind: str) -> str:
    """The name of a part by its content; `kind` is its extension."""
    return f"{parts_folder(loop)}{hashlib.sha256(data).hexdigest()[:32]}.{kind}"


def dump_facts(facts: Facts) -> bytes:
    return _FACTS.dump_json(facts)


def write_parts(system: BlobStore, folder: str, parts: Sequence[Part]) -> None:
    """Write the list of a version's parts."""
    system.write(folder + PARTS_FILE, _PARTS.dump_json([*parts], indent=1))


def read_parts(system: BlobStore, version: DatasetVersion) -> list[Part]:
    """The parts of a version; empty where its files are gone, or older than parts are."""
    try:
        return _PARTS.validate_json(system.read(version.folder + PARTS_FILE).data)
    except NotFound:
        return []


def read_facts(system: BlobStore, parts: Iterable[Part]) -> Iterator[Facts]:
    """Facts part by part. Raises NotFound where one is gone."""
    return (_FACTS.validate_json(system.read(part.facts).data) for part in parts if part.facts)


def members(system: BlobStore, version: DatasetVersion) -> Iterator[Remembered]:
    """Everybody in a version, in no order; nobody where its files are gone."""
    parts = read_parts(system, version)
    try:
        if parts:
            for facts in read_facts(system, parts):
                yield from facts.members.values()
            return
        legacy = _LEGACY.validate_json(system.read(version.folder + LEGACY_MEMBERS_FILE).data)
    except NotFound:
        return
    yield from (Remembered(content, label, side) for content, (label, side) in legacy.items())


def files_of(system: BlobStore, version: DatasetVersion, side: Side) -> list[str]:
    """The JSON Lines of one side of a version, in order."""
    parts = read_parts(system, version)
    if not parts:
        return [f"{version.folder}{side}/{side}_annotations.jsonl"]
    return [blob for part in parts if (blob := part.train if side == "train" else part.validation)]


def label_files(facts: Iterable[Facts]) -> tuple[dict[str, LabelFile], Counter[str]]:
    """Label files by path, and how many records each has."""
    files: dict[str, LabelFile] = {}
    records: Counter[str] = Counter()
    for each in facts:
        files.update(each.files)
        records.update(each.records)
    return files, records
