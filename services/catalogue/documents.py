"""The catalogue as it is stored: an index, and buckets that hold the images and labels of some stems.

An image and every label that may be about it share a stem, hence a bucket, so a bucket is understood by itself and a
change dirties only the buckets that it is in. Every document is immutable and named by the hash of its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter, ValidationError

from services.catalogue.images import ImageFacts
from services.datasets.splits import Side
from services.labels.check import Rules
from services.labels.class_lists import ClassList
from services.labels.options import Options
from services.labels.record import ImageRecord
from services.state import Problem

FORMAT = 10
"""Raised when documents, readers or checks change in a way that needs everything to be read again.

What was read last of a file that is broken now is nowhere else: documents of older formats must still load.
"""
MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """An image that was looked at; `content` is the MD5 of its bytes, `facts` None where it is unreadable."""

    path: str
    etag: str
    content: str
    facts: ImageFacts | None = None
    problem: Problem | None = None
    side: Side | None = None
    """What `sides` says of the content, once it has one."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What of a label file was read, and when it was uploaded, in seconds since 1970."""

    etag: str
    modified: float
    format: str
    per_image: bool


@dataclass(frozen=True, slots=True)
class LabelEntry:
    """A label file that was read, or a file that is neither image nor label; `modified` in seconds since 1970."""

    path: str
    etag: str
    modified: float
    format: str = ""
    per_image: bool = True
    problems: tuple[Problem, ...] = ()
    """The worst of them."""
    codes: dict[str, int] = field(default_factory=dict)
    """All of them, counted by code."""
    class_list: ClassList = field(default_factory=dict)
    """What the file says if it is a list of class names."""
    images: int | None = None
    """Records about images that were read of it; None where an earlier version of the app did not count them."""
    kept: Reading | None = None
    """What still counts of the file: a reading before the one that `etag` tells, of which nothing could be read."""

    @property
    def reading(self) -> Reading:
        """What the catalogue's records of the file come from."""
        return self.kept or Reading(self.etag, self.modified, self.format, self.per_image)

    @property
    def stale(self) -> LabelEntry:
        """The same, to be read again; until then it counts."""
        return replace(self, etag="", kept=self.reading)


@dataclass(frozen=True, slots=True)
class FiledRecord:
    """What a label file says of one image, with what decides between files.

    The record itself is kept as JSON: as objects, those of COCO's 860,001 boxes would take four times the memory.
    """

    file: str
    modified: float
    per_image: bool
    image: str
    boxes: int
    labels: int
    packed: str

    @classmethod
    def of(cls, file: str, modified: float, record: ImageRecord, *, per_image: bool) -> FiledRecord:
        """File a record of a label file; `modified` in seconds since 1970."""
        boxes = sum(label.box is not None for label in record.labels)
        packed = _RECORD.dump_json(record, exclude_defaults=True).decode()
        return cls(file, modified, per_image, record.image, boxes, len(record.labels), packed)

    @property
    def record(self) -> ImageRecord:
        """The record, made anew at each call."""
        return _RECORD.validate_json(self.packed)

    @property
    def loads(self) -> bool:
        """Whether today's app understands it."""
        try:
            return bool(self.record)
        except ValidationError:
            return False

    @property
    def reference(self) -> str:
        """The image as it is looked for: a sidecar's own path, or the name in a bulk file."""
        return self.file if self.per_image else self.image


_RECORD = TypeAdapter(ImageRecord)


@dataclass(slots=True)
class Bucket:
    """The files of some stems, and the records about images of these stems, whatever file they are from."""

    images: dict[str, ImageEntry] = field(default_factory=dict)
    labels: dict[str, LabelEntry] = field(default_factory=dict)
    records: list[FiledRecord] = field(default_factory=list)

    def etags(self) -> dict[str, str]:
        """The files as they were when they were read."""
        entries: tuple[ImageEntry | LabelEntry, ...] = (*self.images.values(), *self.labels.values())
        return {e.path: e.etag for e in entries}


@dataclass(frozen=True, slots=True)
class View:
    """How labels are looked at; `rules` is None while nothing tells the task, `by_folder` where folders are classes."""

    rules: Rules | None
    by_folder: bool = False
    class_lists: dict[str, ClassList] = field(default_factory=dict)
    """Names of numbered classes by the folder that they hold for, as `class_names` finds them."""


@dataclass(slots=True)
class Summary:
    """What the whole catalogue needs to know of one bucket."""

    images: int = 0
    labelled: int = 0
    negatives: int = 0
    waiting: int = 0
    annotations: dict[str, int] = field(default_factory=dict)
    sides: dict[str, dict[str, int]] = field(default_factory=dict)
    """Images by class and side."""
    totals: dict[str, int] = field(default_factory=dict)
    """Images by side."""
    content: str = "0"
    """Sum of the hashes of the dataset's images, hexadecimal: it does not depend on their order or bucket."""
    problems: list[Problem] = field(default_factory=list)
    """The worst of them."""
    codes: dict[str, int] = field(default_factory=dict)
    """All of them, counted by code."""
    quarantined: int = 0
    boxes: int = 0
    """Boxes in label files, matched or not."""
    classed: int = 0
    """Images that label files give classes as a whole, matched or not."""
    multiclassed: int = 0
    """Those of them with several classes."""
    label_files: int = 0
    folders: dict[str, int] = field(default_factory=dict)
    """Images by the class that their folder names."""
    class_lists: dict[str, ClassList] = field(default_factory=dict)
    """Lists of class names by file."""
    superseded: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By label file, images that it names and other files tell the labels of, and one of these files."""
    contents: str = ""
    """The readable images' contents, as `twins.pack` makes them."""

    @property
    def problem_count(self) -> int:
        return sum(self.codes.values())


@dataclass(slots=True)
class BucketRef:
    """Where a bucket is, the digest of its files as they were listed, and its summary."""

    blob: str = ""
    listed: str = ""
    summary: Summary = field(default_factory=Summary)


@dataclass(slots=True)
class Index:
    """The catalogue's root, to which the state refers."""

    format: int = FORMAT
    view: View | None = None
    """What the summaries hold for; None where some are yet to be made."""
    options: Options = field(default_factory=Options)
    """How label files about many images were read."""
    splits: str | list[str] = ""
    """Blobs of the sides by content, which `sides` deals out. One text was all of them in earlier versions of the app,
    which take a list for no index of theirs: they must not think that nobody has a side."""
    twins: dict[str, list[str]] = field(default_factory=dict)
    """Some contents that several images have, and these images."""
    buckets: list[BucketRef] = field(default_factory=lambda: [BucketRef(listed=listing_digest({}.items()))])


def listing_digest(files: Iterable[tuple[str, str]]) -> str:
    """A hash over paths and ETags, in any order."""
    text = "\n".join(f"{path}\0{etag}" for path, etag in sorted(files))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
