"""The writers' own bytes: streams, deterministic, bounded."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.cloud.fakes import FakeBlobStore
from services.errors import Conflict
from services.export import store
from services.export.coco import coco
from services.export.images import ExportImage
from services.export.store import ExportStore, blocks
from services.export.yolo import yolo
from services.export.zipped import zipped
from services.labels.annotation import Annotation

BOX = Annotation("ace", (0.1, 0.2, 0.5, 0.6), is_crowd=True)
IMAGE = ExportImage("a.jpg", 100, 50, "train", (BOX,))


def many(count: int) -> Iterator[ExportImage]:
    return (replace(IMAGE, path=f"{n}.jpg") for n in range(count))


def test_coco_of_boxes_outlines_and_whole_images() -> None:
    outline = Annotation("ace", (0.0, 0.0, 0.5, 1.0), polygons=((0.0, 0.0, 0.5, 0.0, 0.5, 1.0),))
    images = [replace(IMAGE, annotations=(BOX, outline, Annotation("ten")))]
    content = json.loads(b"".join(coco(lambda: iter(images), ["ten", "ace"])))
    box, polygon, whole = content["annotations"]
    assert box == {
        "id": 1, "image_id": 1, "category_id": 2, "bbox": [10.0, 10.0, 40.0, 20.0], "area": 800.0, "iscrowd": 1,
    }  # fmt: skip
    assert (polygon["segmentation"], polygon["area"]) == ([[0.0, 0.0, 50.0, 0.0, 50.0, 50.0]], 1250.0)
    assert whole == {"id": 3, "image_id": 1, "category_id": 1}
    assert content["categories"] == [{"id": 1, "name": "ten"}, {"id": 2, "name": "ace"}]
    assert content["images"] == [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50, "split": "train"}]


def test_a_zip_is_deterministic_and_passes_on_what_it_has() -> None:
    entries = [("a.txt", [b"1" * 9000, b"2"]), ("empty.txt", []), ("ü.txt", [b"3"])]
    data = b"".join(zipped(entries))
    assert data == b"".join(zipped(entries))
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert {name: archive.read(name) for name in archive.namelist()} == {n: b"".join(c) for n, c in entries}
    assert archive.testzip() is None


def test_an_image_without_objects_has_an_empty_file_and_an_object_of_parts_a_line_each() -> None:
    parts = Annotation("ace", (0.0, 0.0, 1.0, 1.0), polygons=((0.0, 0.0, 0.5, 0.0, 0.5, 0.5), (0.5, 0.5, 1, 0.5, 1, 1)))
    images = [replace(IMAGE, path="b/x.y.jpg", annotations=()), replace(IMAGE, annotations=(parts,))]
    archive = zipfile.ZipFile(io.BytesIO(b"".join(yolo(lambda: iter(images), ["ace"]))))
    assert archive.read("labels/b/x.y.txt") == b""
    assert [line.split()[0] for line in archive.read("labels/a.txt").splitlines()] == [b"0", b"0"]


def test_two_images_that_would_share_a_label_file_are_told() -> None:
    images = [IMAGE, replace(IMAGE, path="a.png")]
    with pytest.raises(Conflict, match=r"a\.jpg and a\.png would share labels/a\.txt"):
        b"".join(yolo(lambda: iter(images), ["ace"]))


@pytest.mark.parametrize("writer", [coco, yolo])
def test_memory_grows_by_little_with_the_images(writer: object) -> None:
    assert callable(writer)
    tracemalloc.start()
    written = sum(len(piece) for piece in writer(lambda: many(3000), ["ace"]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written > 300_000
    assert peak < 3000 * 1200


def test_blocks_are_of_one_size_and_the_same_bytes() -> None:
    pieces = [b"ab", b"", b"cdefgh", b"i"]
    assert list(blocks(pieces, 4)) == [b"abcd", b"efgh", b"i"]
    assert list(blocks([b"abcd"], 4)) == [b"abcd"]
    assert list(blocks([], 4)) == []


def test_ranges_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BLOCK", 4)
    system = FakeBlobStore()
    kept = ExportStore(system, "datasets/x/exports/coco-1/")
    assert kept.size() is None
    data = bytes(range(11))
    assert kept.write([data]) == kept.size() == 11
    for start in range(12):
        for end in range(start, 12):
            assert kept.read(start, end) == data[start:end]
    assert len(system.blobs) == 4
