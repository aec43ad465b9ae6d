"""Whatever a label file holds: records and documented problems come out, and nothing else. New readers come by READERS."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from services.catalogue.documents import FiledRecord
from services.labels.annotation import Annotation
from services.labels.check import Rules, check
from services.labels.formats import READERS, open_labels
from services.labels.frame import Frame
from services.labels.image_lists import FORMAT
from services.labels.options import Options
from services.labels.problems import CODES
from services.labels.record import ImageRecord, OptionReader, Reader, Reading
from services.labels.values import MOST_CLASS, MOST_NAME, UNSAFE
from services.loop_config import Task
from services.state import Problem
from tests.support.hostile import SAMPLES, SHARES, attack

FRAME = Frame(64, 48)
RULES = [Rules(task) for task in get_args(Task)]
LEARNT = Rules("instance_segmentation"), Rules("object_detection")


def samples(reader: Reader) -> list[Path]:
    return sorted(SAMPLES.glob(f"{reader.name}.*"))


def pieces(data: bytes, step: int = 97) -> Iterator[bytes]:
    return (data[start : start + step] for start in range(0, len(data), step))


def hold(file: str, readings: Iterable[Reading], tasks: Sequence[Rules] = LEARNT) -> None:
    """What is true of everything that a reader yields for a file."""
    for reading in readings:
        hold_one(file, reading, tasks)


def hold_one(file: str, reading: Reading, tasks: Sequence[Rules]) -> None:
    if isinstance(reading, Problem):
        assert reading.code in CODES
        assert reading.severity == CODES[reading.code].severity
        assert not UNSAFE.search(f"{reading.file}{reading.place}{reading.expected}{reading.found}")
        return
    assert isinstance(reading, ImageRecord)
    assert len(reading.image) <= MOST_NAME
    assert not UNSAFE.search(reading.image + "".join(label.label for label in reading.labels))
    assert all(0 < len(label.label) <= MOST_CLASS for label in reading.labels)
    assert all(label.box for label in reading.labels if label.polygons), "what is outlined has a box too"
    assert FiledRecord.of(file, 0.0, reading, per_image=True).record == reading, "it can be stored"
    for rules in tasks:
        for each in check(file, reading, FRAME, rules):
            hold_checked(each)


def hold_checked(found: Annotation | Problem) -> None:
    if isinstance(found, Problem):
        assert found.code in CODES
        return
    json.dumps([found.box, found.polygons], allow_nan=False)
    assert all(0 <= number <= 1 for polygon in found.polygons for number in polygon)
    assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in found.polygons)
    if found.box is not None:
        left, top, right, bottom = found.box
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1


def direct(reader: Reader, file: str) -> Callable[[bytes], None]:
    if isinstance(reader, OptionReader):
        reader = reader.told(Options(polygons=True))  # everything that it can read

    def read(data: bytes) -> None:
        hold(file, reader.read(file, pieces(data)))

    return read


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_each_reader_has_a_sample_that_it_reads_without_a_problem(reader: Reader) -> None:
    assert samples(reader), f"put one into {SAMPLES}/{reader.name}.*"
    for sample in samples(reader):
        data = sample.read_bytes()
        opened = open_labels(f"labels/{sample.name}", len(data), 1 << 20, pieces(data))
        found = list(opened.readings)
        hold(f"labels/{sample.name}", found, RULES)
        assert opened.format == reader.name
        assert [f.code for f in found if isinstance(f, Problem) and f.severity == "error"] == []
        assert sum(len(f.labels) for f in found if isinstance(f, ImageRecord)) > 0


@pytest.mark.parametrize("kind", SHARES)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_only_records_and_documented_problems(reader: Reader, kind: str) -> None:
    files = samples(reader)
    attack(direct(reader, f"labels/{files[0].name}"), [f.read_bytes() for f in files], kind)


def test_which_reader_takes_a_file_is_told_of_any_bytes() -> None:
    def open_any(data: bytes) -> None:
        opened = open_labels("labels/x", len(data), 1 << 20, pieces(data))
        assert opened.format in {"", FORMAT, *(reader.name for reader in READERS)}
        hold("labels/x", opened.readings)

    every = [sample.read_bytes() for sample in sorted(SAMPLES.iterdir())]
    for kind in ("raw", "exchanged"):
        attack(open_any, every, kind)


@pytest.mark.parametrize(
    "sample",
    [s for s in sorted(SAMPLES.iterdir()) if s.suffix not in {".txt", ".csv"}],  # their last number ends anywhere
    ids=lambda sample: sample.name,
)
def test_half_a_file_is_never_taken_for_a_whole_one_in_silence(sample: Path) -> None:
    """Cut at each byte: what is read is a beginning of what the whole file says, or there is a problem."""
    data = sample.read_bytes()
    whole = _said(sample, data)
    for end in range(len(data)):
        assert _said(sample, data[:end]) <= whole


def _said(sample: Path, data: bytes) -> set[str]:
    readings = open_labels(f"labels/{sample.name}", len(data), 1 << 20, pieces(data)).readings
    return {repr((f.image, f.labels)) for f in readings if isinstance(f, ImageRecord)}


def test_the_invariants_notice_what_they_are_for() -> None:
    """The checks above are checked: a reader that yields such things would be caught."""
    for bad in (Problem(code="no-such", file="x"), ImageRecord("a\u202eb", ""), ImageRecord("x" * 2000, "")):
        with pytest.raises(AssertionError):
            hold("labels/x", [bad])
    with pytest.raises((AssertionError, ValueError)):
        hold_checked(Annotation("x", (0.0, 0.0, math.nan, 1.0)))
