"""What is written is read back by our own readers, within half a pixel: every format for every task that it has."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from itertools import product
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, composite

from services.catalogue.class_names import with_names
from services.catalogue.documents import FiledRecord
from services.cloud.fakes import FakeBlobStore, FakeClock
from services.datasets.jsonl import blob_url, datastore_url, line
from services.datasets.parts import SIDES, Part, write_parts
from services.datasets.splits import Side
from services.errors import BadRequest
from services.export.coco import coco
from services.export.exports import KINDS, Exports
from services.export.images import ExportImage, images_of
from services.export.jsonl import jsonl
from services.export.yolo import label_file, yolo
from services.labels.annotation import Annotation
from services.labels.check import Rules, check
from services.labels.class_lists import read_class_list
from services.labels.formats import reader_of
from services.labels.frame import Frame
from services.labels.options import Options
from services.labels.record import ImageRecord, OptionReader
from services.labels.values import bounds
from services.loop_config import Task
from services.names import state_blob
from services.state import DatasetVersion, LoopState
from services.state_store import StateStore

LOOP = "cards"
CLASSES = ["ace", "kö nig", "2", "yes"]
URL = f"{datastore_url('s', 'g', 'w', 'd')}{LOOP}/images/"
names = st.text(st.sampled_from("abZ 0ä.-%"), min_size=1, max_size=6).map(lambda t: f"x{t}x")


@composite
def boxes(draw: DrawFn, width: int, height: int) -> tuple[float, float, float, float]:
    left, top = draw(st.floats(0, width - 2)), draw(st.floats(0, height - 2))
    right, bottom = draw(st.floats(left + 1, width)), draw(st.floats(top + 1, height))
    return left / width, top / height, right / width, bottom / height


@composite
def drawn_annotations(draw: DrawFn, task: Task, width: int, height: int) -> Annotation:
    label = draw(st.sampled_from(CLASSES))
    if task.startswith("image_classification"):
        return Annotation(label)
    crowd = draw(st.booleans())
    parts = draw(st.lists(boxes(width, height), min_size=1, max_size=3))
    if task == "object_detection":
        return Annotation(label, parts[0], crowd)
    triangles = tuple((left, top, right, top, right, bottom) for left, top, right, bottom in parts)
    return Annotation(label, bounds(triangles), crowd, triangles)


@composite
def datasets(draw: DrawFn, task: Task) -> list[ExportImage]:
    found = []
    for name in draw(st.lists(names, min_size=1, max_size=4, unique_by=str.casefold)):
        width, height = draw(st.integers(4, 8000)), draw(st.integers(4, 8000))
        most = 1 if task == "image_classification" else 3
        least = 1 if task.startswith("image_classification") else 0
        shapes = drawn_annotations(task, width, height)
        said = draw(st.lists(shapes, min_size=least, max_size=most, unique=True))
        side: Side = draw(st.sampled_from(SIDES))
        found.append(ExportImage(f"{name}/{name}.jpg", width, height, side, tuple(said)))
    return sorted(found, key=lambda image: (image.side, image.path))


def read(file: str, data: bytes, *, polygons: bool = False) -> list[ImageRecord]:
    reader = reader_of(file, data[:4096])
    assert reader is not None
    told = reader.told(Options(coordinates="pixels", polygons=polygons)) if isinstance(reader, OptionReader) else reader
    found = list(told.read(file, iter([data])))
    assert all(isinstance(f, ImageRecord) for f in found), found
    return [f for f in found if isinstance(f, ImageRecord)]


def checked(record: ImageRecord, image: ExportImage, task: Task) -> list[Any]:
    frame = Frame(image.width, image.height, rotated=False)
    return list(check("f", record, frame, Rules(task, frozenset(CLASSES))))


def assert_same(found: Sequence[Any], image: ExportImage, annotations: Sequence[Annotation] | None = None) -> None:
    expected = image.annotations if annotations is None else annotations
    assert [f.label for f in found] == [a.label for a in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.is_crowd == theirs.is_crowd
        assert (ours.box is None) == (theirs.box is None)
        shapes = [(ours.box or (), theirs.box or ()), *zip(ours.polygons, theirs.polygons, strict=True)]
        for one, other in shapes:
            sides = (image.width, image.height)
            assert all(abs(a - b) * sides[i % 2] <= 0.5 for i, (a, b) in enumerate(zip(one, other, strict=True)))


ALL: tuple[Task, ...] = get_args(Task)
OBJECTS: tuple[Task, ...] = ("object_detection", "instance_segmentation")
TESTED = {("coco", task) for task in ALL} | {("jsonl", task) for task in ALL} | {("yolo", task) for task in OBJECTS}


@pytest.mark.parametrize(("kind", "task"), [*product(KINDS, ALL)])
def test_what_is_not_tested_here_is_not_written(kind: str, task: Task) -> None:
    system, version = FakeBlobStore(), version_of(task)
    version.status = "registered"
    state = LoopState(loop=LOOP, created=FakeClock()(), datasets=[version])
    system.write(state_blob(LOOP), state.model_dump_json().encode())
    system.write("empty", b"")
    write_parts(system, version.folder, [Part("empty", "empty", "empty", "")])
    exports = Exports(StateStore(system, FakeClock()), system)
    if (kind, task) in TESTED:
        assert exports.export(LOOP, "1", kind, "").status == 200
    else:
        with pytest.raises(BadRequest, match=task):
            exports.export(LOOP, "1", kind, "")


@pytest.mark.parametrize("task", ALL)
@settings(max_examples=25)
@given(data=st.data())
def test_coco(task: Task, data: st.DataObject) -> None:
    images = data.draw(datasets(task))
    written = b"".join(coco(lambda: iter(images), CLASSES))
    content = json.loads(written)
    assert [i["split"] for i in content["images"]] == [i.side for i in images]
    if not content["annotations"]:
        return  # the reader asks what such a file is for
    records = {r.image: r for r in read("c.json", written, polygons=task == "instance_segmentation")}
    for image in images:
        record = records[image.path]
        assert (record.width, record.height) == (image.width, image.height)
        assert_same(checked(record, image, task), image)


def as_yolo_says(annotations: Sequence[Annotation]) -> list[Annotation]:
    """The format knows no crowds, and each part of an object is one of its own."""
    return [
        Annotation(a.label, bounds([part]), polygons=(part,)) if part else Annotation(a.label, a.box)
        for a in annotations
        for part in a.polygons or [()]
    ]


@pytest.mark.parametrize("task", OBJECTS)
@settings(max_examples=25)
@given(data=st.data())
def test_yolo(task: Task, data: st.DataObject) -> None:
    images = data.draw(datasets(task))
    archive = zipfile.ZipFile(io.BytesIO(b"".join(yolo(lambda: iter(images), CLASSES))))
    assert archive.testzip() is None
    known, problems = read_class_list("data.yaml", archive.read("data.yaml"))
    assert (known, problems) == (dict(enumerate(CLASSES)), [])
    listed = {
        side: archive.read(name).decode().splitlines()
        for side, name in (("train", "train.txt"), ("validation", "val.txt"))
    }
    for image in images:
        assert f"./images/{image.path}" in listed[image.side]
        file = label_file(image.path)
        [record] = read(file, archive.read(file))
        filed = FiledRecord.of(file, 0, record, per_image=True)
        named, problems = with_names(filed, {"labels": known})
        assert problems == []
        assert_same(checked(named, image, task), image, as_yolo_says(image.annotations))


@pytest.mark.parametrize("task", ALL)
@settings(max_examples=25)
@given(drawn=st.data())
def test_jsonl_and_the_images_of_a_version(task: Task, drawn: st.DataObject) -> None:
    images = drawn.draw(datasets(task))
    system, version = FakeBlobStore(), version_of(task)
    parts = []
    for number, image in enumerate(images):
        url = blob_url(URL, image.path)
        system.write(f"{number}", line(url, "jpeg", image.width, image.height, image.annotations, task))
        train = image.side == "train"
        parts.append(Part(f"{number}", f"{number}" * train, f"{number}" * (not train), ""))
    write_parts(system, version.folder, parts)
    assert list(images_of(system, version, LOOP)()) == images
    archive = zipfile.ZipFile(io.BytesIO(b"".join(jsonl(system, version))))
    for side in ("train", "validation"):
        table = yaml.safe_load(archive.read(f"{side}/MLTable"))
        assert table["paths"] == [{"file": f"./{side}_annotations.jsonl"}]
        data = archive.read(f"{side}/{side}_annotations.jsonl")
        wanted = [image for image in images if image.side == side]
        records = read("a.jsonl", data) if data else []
        assert [r.image for r in records] == [f"{LOOP}/images/{image.path}" for image in wanted]
        for record, image in zip(records, wanted, strict=True):
            assert_same(checked(record, image, task), image)


def version_of(task: Task) -> DatasetVersion:
    counts = {"train_images": 1, "validation_images": 1, "new_since_trained": 0, "number": 1}
    assets = {"train_asset": "t:1", "validation_asset": "v:1", "folder": "datasets/cards/1-c/", "content_hash": "c"}
    empty: dict[str, Any] = {"annotations_per_class": {}, "images_per_class": {}}
    return DatasetVersion.model_validate(
        {**counts, **assets, **empty, "task": task, "classes": CLASSES, "created": FakeClock()()}
    )
