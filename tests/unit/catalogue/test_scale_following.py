"""What is overwritten, deleted or renamed is followed, with many buckets as with one."""

from __future__ import annotations

from collections import Counter

import pytest

from services.catalogue import working
from services.state import CatalogueState
from tests.support.dataset_house import BOX, House, coco, picture, voc


@pytest.fixture(autouse=True, params=[2, 2048])
def _buckets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "BUCKET_FILES", request.param)


def looked(house: House) -> CatalogueState:
    house.fakes.clock.advance(1)
    house.step()
    return house.state.catalogue


def test_an_image_overwritten_with_another_size_is_held_against_its_labels_anew() -> None:
    house = House()
    house.labelled(12)
    before = looked(house)
    house.put("images/003.png", picture(3, 128, 96))
    found = looked(house)
    assert (before.labelled, found.labelled) == (12, 11)
    assert Counter(p.code for p in found.problems) == {"size-mismatch": 1}
    house.put("images/003.xml", voc(("bolt", BOX), size=(128, 96)))
    found = looked(house)
    assert (found.labelled, found.problem_count) == (12, 0)
    assert found.content_hash != before.content_hash


def test_a_deleted_file_about_many_images_leaves_them_unlabelled_and_returns_as_it_was() -> None:
    house = House()
    house.labelled(4)
    bulk = coco({f"{n:03}.png": [("washer", BOX)] for n in range(4, 20)})
    for number in range(4, 20):
        house.put(f"images/{number:03}.png", picture(number))
    house.put("labels/all.json", bulk)
    whole = looked(house)
    assert (whole.labelled, whole.images_per_class["washer"]) == (20, 16)
    house.remove("labels/all.json")
    found = looked(house)
    assert (found.images, found.labelled, found.waiting_labels) == (20, 4, 0)
    assert "washer" not in found.classes
    house.put("labels/all.json", bulk)
    assert looked(house).content_hash == whole.content_hash


def test_a_renamed_image_is_found_by_its_new_name_and_keeps_its_side() -> None:
    house = House()
    house.labelled(12)
    before = looked(house)
    house.remove("images/005.png")
    house.put("images/new.png", picture(5))
    found = looked(house)
    assert (found.images, found.labelled, found.waiting_labels) == (12, 11, 1)
    house.remove("images/005.xml")
    house.put("images/new.xml", voc(("bolt", BOX)))
    found = looked(house)
    assert (found.labelled, found.waiting_labels, found.problem_count) == (12, 0, 0)
    assert (found.train_images, found.validation_images) == (before.train_images, before.validation_images)
    assert found.content_hash != before.content_hash, "a version's files name the image"


def test_a_shorter_file_about_many_images_unlabels_what_it_no_longer_says() -> None:
    house = House()
    for number in range(10):
        house.put(f"images/{number:03}.png", picture(number))
    house.put("labels/all.json", coco({f"{n:03}.png": [("nut", BOX)] for n in range(10)}))
    assert looked(house).labelled == 10
    house.put("labels/all.json", coco({f"{n:03}.png": [("nut", BOX)] for n in range(7)}))
    assert looked(house).labelled == 7


def test_everything_deleted_is_an_empty_loop_again() -> None:
    house = House()
    house.labelled(12)
    house.put("labels/all.json", coco({"later.png": [("nut", BOX)]}))
    assert looked(house).waiting_labels == 1
    for name in list(house.fakes.data.blobs):
        house.fakes.data.delete(name)
    found = looked(house)
    assert (found.images, found.labelled, found.waiting_labels, found.problem_count) == (0, 0, 0, 0)
