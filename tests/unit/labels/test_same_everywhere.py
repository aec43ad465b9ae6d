"""The same labels in each format come to the same annotations, within half a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.labels.annotation import Annotation
from services.labels.check import Rules, check
from services.labels.formats import open_labels
from services.labels.frame import Frame
from services.labels.options import Options
from services.labels.record import ImageRecord
from services.loop_config import Task
from services.state import Problem
from tests.support.cards import photographs
from tests.support.label_writers import CLASS_WRITERS, WITHOUT_OUTLINES, WRITERS, Thing

IMAGE = "belt/a.jpg"


def read_annotations(data: bytes, task: Task, size: tuple[int, int]) -> list[Annotation]:
    """What a file comes to; any problem at all is a failure."""
    opened = open_labels(
        "labels/a", len(data), 1 << 30, iter([data]), Options(polygons=task == "instance_segmentation")
    )
    (record,) = list(opened.readings)
    assert isinstance(record, ImageRecord)
    assert record.image.endswith(IMAGE)
    found = list(check("labels/a", record, Frame(*size), Rules(task)))
    assert [f for f in found if isinstance(f, Problem)] == []
    return [f for f in found if isinstance(f, Annotation)]


def equal_in_each(things: Sequence[Thing], task: Task, size: tuple[int, int]) -> None:
    width, height = size
    for name, writer in WRITERS.items():
        if name in WITHOUT_OUTLINES and task == "instance_segmentation":
            continue
        found = read_annotations(writer(IMAGE, width, height, things), task, size)
        assert [a.label for a in found] == [label for label, _ in things], name
        for annotation, (_, numbers) in zip(found, things, strict=True):
            shares = annotation.polygons[0] if len(numbers) > 4 else annotation.box
            assert shares is not None
            pixels = [share * (height if i % 2 else width) for i, share in enumerate(shares)]
            assert pixels == pytest.approx(numbers, abs=0.5), name


def spans(whole: int) -> st.SearchStrategy[tuple[float, float]]:
    """Two places at least two pixels apart."""
    ends = st.tuples(st.floats(0, whole), st.floats(0, whole)).map(sorted)
    return ends.filter(lambda pair: pair[1] - pair[0] >= 2).map(lambda pair: (pair[0], pair[1]))


@st.composite
def boxes(draw: st.DrawFn) -> tuple[tuple[int, int], list[Thing]]:
    size = draw(st.integers(20, 5000)), draw(st.integers(20, 5000))
    found: list[Thing] = []
    for _ in range(draw(st.integers(1, 4))):
        (left, right), (top, bottom) = draw(spans(size[0])), draw(spans(size[1]))
        found.append((draw(st.sampled_from(["nut", "bolt 12", "größe"])), (left, top, right, bottom)))
    return size, found


@settings(max_examples=40)
@given(boxes())
def test_boxes(drawn: tuple[tuple[int, int], list[Thing]]) -> None:
    size, things = drawn
    equal_in_each(things, "object_detection", size)


@settings(max_examples=40)
@given(boxes())
def test_outlines(drawn: tuple[tuple[int, int], list[Thing]]) -> None:
    size, found = drawn
    outlined: list[Thing] = [
        (name, (left, top, right, top, (left + right) / 2, bottom)) for name, (left, top, right, bottom) in found
    ]
    equal_in_each(outlined, "instance_segmentation", size)
    for writer in (WRITERS["cvat"], WRITERS["labelme"]):
        data = writer(IMAGE, *size, outlined)
        assert [a.label for a in read_annotations(data, "object_detection", size)] == [name for name, _ in outlined]


@settings(max_examples=20)
@given(
    st.tuples(st.integers(20, 5000), st.integers(20, 5000)),
    st.lists(st.sampled_from(["nut", "bolt 12", "größe", "2", "yes"]), min_size=1, unique=True),
)
def test_classes_of_whole_images(size: tuple[int, int], classes: list[str]) -> None:
    tasks: list[Task] = ["image_classification_multilabel", "image_classification"]
    for name, writer in CLASS_WRITERS.items():
        for task in tasks:
            said = classes if task == tasks[0] else classes[:1]
            found = read_annotations(writer(IMAGE, *size, said), task, size)
            assert found == [Annotation(label) for label in said], name


def test_photographs_of_playing_cards() -> None:
    for photograph in photographs("train", ("ace", "king", "queen", "jack", "ten", "nine"))[:60]:
        things: list[Thing] = [(photograph.name, box) for box in photograph.boxes]
        equal_in_each(things, "object_detection", _size(photograph.label))


def _size(label: Path) -> tuple[int, int]:
    data = label.read_bytes()
    (record,) = (
        r for r in open_labels("a.xml", len(data), 1 << 20, iter([data])).readings if isinstance(r, ImageRecord)
    )
    return record.width, record.height
