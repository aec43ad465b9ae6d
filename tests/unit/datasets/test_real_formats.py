"""The playing cards as VOC, as their own CSV and as what our writers make of them: the same catalogue each time."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from services.export.exports import Exports
from services.export.images import ExportImage, images_of
from services.labels.annotation import Annotation
from services.state_store import StateStore
from tests.support.dataset_house import LOOP, House

CARDS = Path(__file__).parents[4] / "shared" / "data" / "playing_cards" / "images"
Files = dict[str, bytes]
pytestmark = pytest.mark.skipif(
    not CARDS.is_dir(), reason=f"{CARDS} is missing: real data is not part of the repository"
)


@cache
def files() -> Files:
    """Everything in the folder, as it is uploaded below `images/`."""
    return {path.relative_to(CARDS).as_posix(): path.read_bytes() for path in CARDS.rglob("*") if path.is_file()}


def pictures() -> Files:
    return {f"images/{path}": data for path, data in files().items() if path.lower().endswith(".jpg")}


def voc() -> Files:
    return {f"images/{path}": data for path, data in files().items() if path.endswith(".xml")}


def csv() -> Files:
    return {f"labels/{path}": data for path, data in files().items() if path.endswith(".csv")}


def unzipped(data: bytes) -> Files:
    archive = zipfile.ZipFile(io.BytesIO(data))
    return {name: archive.read(name) for name in archive.namelist()}


@cache
def settled(labels: Callable[[], Files]) -> House:
    house = House()
    for path, data in {**pictures(), **labels()}.items():
        house.put(path, data)
    house.settle()
    return house


def export(kind: str) -> bytes:
    house = settled(voc)
    exports = Exports(StateStore(house.fakes.system, house.fakes.clock), house.fakes.system)
    return exports.export(LOOP, "1", kind, "").body


def coco() -> Files:
    return {"labels/cards.json": export("coco")}


def yolo() -> Files:
    found = unzipped(export("yolo"))
    return {name: data for name, data in found.items() if name == "data.yaml" or name.startswith("labels/")}


def jsonl() -> Files:
    found = unzipped(export("jsonl"))
    return {f"labels/{n.rpartition('/')[2]}": data for n, data in found.items() if n.endswith(".jsonl")}


def catalogue(house: House) -> dict[str, ExportImage]:
    [version] = house.state.datasets
    return {image.path: image for image in images_of(house.fakes.system, version, LOOP)()}


@pytest.mark.parametrize("labels", [csv, coco, yolo, jsonl])
def test_the_same_catalogue_each_time(labels: Callable[[], Files]) -> None:
    house, reference = settled(labels), catalogue(settled(voc))
    state, expected = house.state.catalogue, settled(voc).state.catalogue
    assert (state.problem_count, state.waiting_labels, state.labelled) == (0, 0, 363)
    assert (state.classes, state.annotations_per_class) == (expected.classes, expected.annotations_per_class)
    found = catalogue(house)
    assert found.keys() == reference.keys()
    for path, image in found.items():
        theirs = reference[path]
        assert (image.width, image.height, image.side) == (theirs.width, theirs.height, theirs.side)
        assert len(list(pairs(image, theirs))) == len(theirs.annotations) == len(image.annotations)


def pairs(image: ExportImage, other: ExportImage) -> Iterator[tuple[Annotation, Annotation]]:
    """Annotations of one class whose corners are within half a pixel; files list them in orders of their own."""
    left = list(other.annotations)
    for annotation in image.annotations:
        for candidate in left:
            if candidate.label == annotation.label and near(annotation, candidate, image):
                left.remove(candidate)
                yield annotation, candidate
                break


def near(one: Annotation, other: Annotation, image: ExportImage) -> bool:
    assert one.box is not None
    assert other.box is not None
    sides = (image.width, image.height)
    return all(abs(a - b) * sides[i % 2] <= 0.5 for i, (a, b) in enumerate(zip(one.box, other.box, strict=True)))
