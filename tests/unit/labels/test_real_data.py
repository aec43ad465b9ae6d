"""Real photographs and labels, in the formats that they come in and converted to others, give the same data set."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.labels.csv_table import CsvReader
from services.labels.record import ImageRecord
from services.labels.voc import VocReader
from tests.support.dataset_house import House

CARDS = Path(__file__).parents[4] / "shared" / "data" / "playing_cards" / "images"
Boxes = dict[str, list[tuple[str, list[float]]]]
"""Class and corners in pixels by image, in order."""
pytestmark = pytest.mark.skipif(not CARDS.is_dir(), reason=f"{CARDS} is missing: real data is not part of the project")


@cache
def rows(side: str) -> list[dict[str, str]]:
    with (CARDS / f"{side}_labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def corners(row: dict[str, str]) -> list[float]:
    return [float(row[c]) for c in ("xmin", "ymin", "xmax", "ymax")]


def classes() -> list[str]:
    return sorted({row["class"] for row in rows("test")})


def as_voc(house: House) -> None:
    for file in (CARDS / "test").glob("*.xml"):
        house.put(f"labels/{file.name}", file.read_bytes())


def as_csv(house: House) -> None:
    house.put("labels/test_labels.csv", (CARDS / "test_labels.csv").read_bytes())


def as_coco(house: House) -> None:
    sizes = {r["filename"]: (int(r["width"]), int(r["height"])) for r in rows("test")}
    images = [{"id": n, "file_name": n, "width": w, "height": h} for n, (w, h) in sizes.items()]
    boxes = [
        {"image_id": r["filename"], "category_id": r["class"], "bbox": [left, top, right - left, bottom - top]}
        for r in rows("test")
        for left, top, right, bottom in [corners(r)]
    ]
    categories = [{"id": name, "name": name} for name in classes()]
    document = {"images": images, "annotations": boxes, "categories": categories}
    house.put("labels/all.json", json.dumps(document).encode())


def as_yolo(house: House, *, outlines: bool = False) -> None:
    found: dict[str, list[str]] = {}
    for row in rows("test"):
        width, height = float(row["width"]), float(row["height"])
        left, top, right, bottom = corners(row)
        x = [left / width, right / width]
        y = [top / height, bottom / height]
        box = [sum(x) / 2, sum(y) / 2, x[1] - x[0], y[1] - y[0]]
        numbers = [x[0], y[0], x[1], y[0], x[1], y[1], x[0], y[1]] if outlines else box
        line = " ".join([str(classes().index(row["class"])), *(f"{n:.6f}" for n in numbers)])
        found.setdefault(Path(row["filename"]).stem, []).append(line)
    for name, lines in found.items():
        house.put(f"labels/{name}.txt", "\n".join(lines).encode())
    house.put("labels/data.yaml", f"nc: 6\nnames: [{', '.join(classes())}]\n".encode())


def as_outlines(house: House) -> None:
    as_yolo(house, outlines=True)


def loaded(upload: Callable[[House], None]) -> Boxes:
    """What a data set says of the images when the labels are uploaded in one of the ways."""
    house = House()
    for file in (CARDS / "test").iterdir():
        if file.suffix.lower() != ".xml":
            house.put(f"images/{file.name}", file.read_bytes())
    upload(house)
    found = house.settle().catalogue
    assert (found.labelled, found.quarantined, found.problem_count) == (67, 0, 0)
    return {line["image_url"]: pixels(line) for side in ("train", "validation") for line in house.lines(side)}


def pixels(line: dict[str, Any]) -> list[tuple[str, list[float]]]:
    width, height = line["image_details"]["width"], line["image_details"]["height"]
    names = (("topX", width), ("topY", height), ("bottomX", width), ("bottomY", height))
    return [(box["label"], [box[n] * size for n, size in names]) for box in line["label"]]


def test_every_format_gives_the_same_data_set() -> None:
    for first, second in pairwise(map(loaded, (as_voc, as_csv, as_coco, as_yolo, as_outlines))):
        assert first.keys() == second.keys()
        for url, boxes in first.items():
            assert [name for name, _ in boxes] == [name for name, _ in second[url]]
            for (_, ours), (_, theirs) in zip(boxes, second[url], strict=True):
                assert ours == pytest.approx(theirs, abs=0.5)


def test_the_csv_of_all_photographs_says_what_their_xml_says() -> None:
    for side, count in (("train", 296), ("test", 67)):
        data = (CARDS / f"{side}_labels.csv").read_bytes()
        found = [r for r in CsvReader().read("x", iter([data])) if isinstance(r, ImageRecord)]
        assert len(found) == count
        for record in found:
            text = (CARDS / side / record.image).with_suffix(".xml").read_bytes()
            [voc] = VocReader().read("x", iter([text]))
            assert isinstance(voc, ImageRecord)
            assert [(o.label, o.box) for o in voc.labels] == [(o.label, o.box) for o in record.labels]
