"""What a label reader yields, and what a reader is: formats join by a file of their own and a line in formats.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from services.labels.annotation import Box, Polygon
from services.labels.options import Options
from services.state import Problem


@dataclass(frozen=True, slots=True)
class RawLabel:
    """One annotation as a file says it, not yet held against the image. One with polygons has a box too."""

    label: str
    box: Box | None
    place: str
    is_crowd: bool = False
    polygons: tuple[Polygon, ...] = ()
    shares: bool = False
    """Whether box and polygons are in shares of the displayed image's width and height; else in pixels."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """Everything that one record of a label file says of one image."""

    image: str
    """The image as the file names it; empty where the label file's own name says it."""
    place: str
    labels: tuple[RawLabel, ...] = ()
    width: int = 0
    """Pixels as the file says; 0 where it does not."""
    height: int = 0
    broken: int = 0
    """Annotations of this image that were quarantined: an image that has only such is no negative."""
    numbered: bool = False
    """Whether the labels are numbers of classes, whose names another file says."""


Reading = ImageRecord | Problem


def with_problems(record: ImageRecord, found: Iterable[RawLabel | Problem]) -> Iterator[Reading]:
    """The problems of an image's labels, then the record with the labels that could be read."""
    each = [*found]
    problems = [p for p in each if isinstance(p, Problem)]
    yield from problems
    broken = sum(p.severity == "error" for p in problems)
    yield replace(record, labels=tuple(e for e in each if isinstance(e, RawLabel)), broken=broken)


class Reader(Protocol):
    """One label format."""

    name: str
    per_image: bool
    """Whether a file is about one image, the one with its stem."""

    def accepts(self, head: bytes) -> bool:
        """Whether a file that begins so is of this format."""
        ...

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        """Yield records and problems. Content raises nothing; what `chunks` raises passes through."""
        ...


@runtime_checkable
class OptionReader(Reader, Protocol):
    """A format about many images that loop.yaml says something of."""

    def told(self, options: Options) -> Reader:
        """The reader that goes by these options."""
        ...
