"""The formats that are read; which one a file is of is told by its content, not by its name alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from services.labels.automl_jsonl import AutomlJsonlReader
from services.labels.coco import CocoReader
from services.labels.createml import CreatemlReader
from services.labels.csv_table import CsvReader
from services.labels.cvat import CvatReader
from services.labels.ground_truth import GroundTruthReader
from services.labels.heads import HEAD
from services.labels.image_lists import FORMAT, is_image_list
from services.labels.label_studio import LabelStudioReader
from services.labels.labelme import LabelmeReader
from services.labels.options import DEFAULT, Options
from services.labels.per_image import PerImageReader
from services.labels.problems import problem
from services.labels.record import OptionReader, Reader, Reading
from services.labels.via import ViaReader
from services.labels.via_csv import ViaCsvReader
from services.labels.voc import VocReader
from services.labels.yolo import YoloReader

READERS: tuple[Reader, ...] = (
    CocoReader(),
    VocReader(),
    AutomlJsonlReader(),
    GroundTruthReader(),
    LabelStudioReader(),
    CreatemlReader(),
    CvatReader(),
    LabelmeReader(),
    PerImageReader(),
    ViaReader(),
    YoloReader(),
    ViaCsvReader(),
    CsvReader(),
)
"""The first that accepts a file reads it."""


MOST_SHOWN = 120


@dataclass(frozen=True, slots=True)
class OpenLabels:
    """A label file about to be read; `format` is empty where no reader knows it."""

    format: str
    per_image: bool
    readings: Iterator[Reading]


def open_labels(file: str, size: int, limit: int, chunks: Iterator[bytes], options: Options = DEFAULT) -> OpenLabels:
    """Find the reader of a file of `size` bytes; one above `limit` is not read."""
    if size > limit:
        expected = f"at most {limit} bytes (setting VISIONLOOP_MAX_LABEL_FILE_BYTES)"
        return _closed(problem("label-file-too-large", file, expected=expected, found=f"{size} bytes"))
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD:
            break
    if reader := reader_of(file, head[:HEAD]):
        told = reader.told(options) if isinstance(reader, OptionReader) else reader
        return OpenLabels(reader.name, reader.per_image, told.read(file, chain((head,), chunks)))
    if is_image_list(head[:HEAD], whole=len(head) == size):
        return OpenLabels(FORMAT, per_image=False, readings=iter(()))
    tried = ", ".join(reader.name for reader in READERS)
    found = "an empty file" if not head else f"a file that begins with {_beginning(head)}"
    return _closed(problem("label-file-unknown", file, expected=f"one of {tried}", found=found))


def reader_of(file: str, head: bytes) -> Reader | None:
    """By content; but of an empty file only its name tells that it is one of YOLO's, for an image of nothing."""
    if not head.strip() and file.lower().endswith(".txt"):
        return YoloReader()
    return next((reader for reader in READERS if reader.accepts(head)), None)


def _beginning(head: bytes) -> str:
    """As much of the first lines as a problem has room for: reprlib would show their middle least."""
    return repr(head[:MOST_SHOWN].decode("utf-8", "replace"))


def _closed(reading: Reading) -> OpenLabels:
    return OpenLabels("", per_image=True, readings=iter((reading,)))
