"""Real photographs and labels, where the folder of shared data lies beside the repository."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from defusedxml.ElementTree import parse

from tests.support.dataset_house import House
from tests.support.timing import quickest

SHARED = Path(__file__).parents[4] / "shared" / "data"
CARDS = SHARED / "playing_cards" / "images"
FRIDGE = SHARED / "fridge_objects_classification"


def house_of(folder: Path) -> House:
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: real data is not part of the repository")
    house = House()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            house.put(f"images/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return house


def test_every_playing_card_is_catalogued_with_its_boxes() -> None:
    house = house_of(CARDS)
    state = house.settle()
    found = state.catalogue
    assert (found.images, found.labelled, found.quarantined, found.waiting_labels) == (363, 363, 0, 0)
    assert sorted(found.classes) == ["ace", "jack", "king", "nine", "queen", "ten"]
    assert found.problems == []
    version = state.datasets[0]
    assert version.images == 363
    assert 0.15 < version.validation_images / 363 < 0.25
    for line in house.lines("train") + house.lines("validation"):
        assert_as_in_xml(line)


def assert_as_in_xml(line: dict[str, object]) -> None:
    """Boxes within half a pixel, in their order."""
    name = str(line["image_url"]).partition("/images/")[2]
    root = parse((CARDS / name).with_suffix(".xml")).getroot()
    assert root is not None
    details, labels = line["image_details"], line["label"]
    assert isinstance(details, dict)
    assert isinstance(labels, list)
    seen = [
        (b["label"], b["topX"] * details["width"], b["topY"] * details["height"], b["bottomX"] * details["width"])
        for b in labels
    ]
    said = [
        (o.findtext("name"), *(float(o.findtext(f"bndbox/{c}") or "nan") for c in ("xmin", "ymin", "xmax")))
        for o in root.findall("object")
    ]
    assert [s[0] for s in seen] == [s[0] for s in said]
    for ours, theirs in zip(seen, said, strict=True):
        assert list(ours[1:]) == pytest.approx(theirs[1:], abs=0.5)


def test_an_unchanged_loop_of_real_size_is_looked_at_in_half_a_second() -> None:
    house = house_of(CARDS)
    house.settle()
    assert house.step() is None
    assert quickest(house.step, 0.5) < 0.5


def test_fridge_objects_are_classes_by_folder() -> None:
    house = house_of(FRIDGE)
    state = house.settle()
    assert (state.catalogue.task, state.catalogue.images, state.catalogue.labelled) == (
        "image_classification",
        134,
        134,
    )
    assert state.datasets[0].classes == ["can", "carton", "milk_bottle", "water_bottle"]
    for line in house.lines("validation"):
        assert f"/images/{line['label']}/" in line["image_url"]
    assert json.dumps(house.told[0].data["classes"])
