from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue import twins, working
from services.catalogue.documents import Summary
from services.catalogue.lint import Whole, lint
from services.catalogue.twins import count, pack, unpack
from services.state import CatalogueState
from tests.support.dataset_house import BOX, House, picture, voc

hashes = st.binary(max_size=3).map(lambda data: hashlib.md5(data).hexdigest())


@given(st.lists(hashes))
def test_what_is_packed_comes_out_sorted(contents: list[str]) -> None:
    assert list(unpack(pack(contents))) == sorted(int(c[:16], 16) for c in contents)


@given(st.lists(st.lists(hashes, max_size=9), max_size=5))
def test_every_image_but_the_first_of_a_content_counts(buckets: list[list[str]]) -> None:
    every = [content for bucket in buckets for content in bucket]
    assert count([Summary(contents=pack(b)) for b in buckets]) == len(every) - len(set(every))


def test_what_is_not_named_is_counted() -> None:
    found = lint(Whole(50, 50, {"nut": 50}, twins=[["images/a.png", "images/b.png", "images/c.png"]], twin_count=9))
    assert [(p.code, p.file, p.found) for p in found] == [
        ("image-duplicate", "images/a.png", "the bytes of images/b.png, images/c.png are the same"),
        ("image-duplicate", "images/", "7 more images that are there twice"),
    ]


def looked(house: House) -> CatalogueState:
    house.step()
    return house.state.catalogue


def doubles(found: CatalogueState) -> list[tuple[str, str]]:
    return [(p.file, p.found) for p in found.dataset_problems if p.code == "image-duplicate"]


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    """Buckets of four files, so that the copies lie in several."""
    monkeypatch.setattr(working, "BUCKET_FILES", 4)
    house = House()
    house.labelled(12)
    return house


def test_copies_in_several_buckets_are_named_and_are_on_one_side(house: House) -> None:
    for name in ("again", "and_again"):
        house.put(f"images/{name}.png", picture(3))
        house.put(f"images/{name}.xml", voc(("nut", BOX)))
    found = looked(house)
    assert doubles(found) == [("images/003.png", "the bytes of images/again.png, images/and_again.png are the same")]
    assert (found.labelled, found.problem_count) == (14, 0), "all of them are kept"
    house.settle()
    sides = {
        side: {line["image_url"].rpartition("/")[2] for line in house.lines(side)} for side in ("train", "validation")
    }
    copies = {"003.png", "again.png", "and_again.png"}
    assert copies <= sides["train"] or copies <= sides["validation"]


def test_copies_that_go_are_forgotten_and_unchanged_ones_cost_no_more_reads(house: House) -> None:
    house.put("images/again.png", picture(3))
    house.put("images/other.png", picture(4))
    assert len(doubles(looked(house))) == 2
    house.remove("images/again.png")
    assert [file for file, _ in doubles(looked(house))] == ["images/004.png"]
    house.fakes.system.calls.clear()
    house.put("images/new.png", picture(99))
    assert len(doubles(looked(house))) == 1
    assert house.fakes.system.calls.count("read") <= 4, "index, splits, one bucket, and the test's own state"


def test_names_are_limited(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "MOST_NAMED", 2)
    for number in range(5):
        house.put(f"images/copy{number}.png", picture(number))
    found = doubles(looked(house))
    assert len(found) == 3
    assert found[-1] == ("images/", "3 more images that are there twice")


def test_unreadable_images_are_no_twins() -> None:
    house = House()
    house.put("images/a.png", b"nothing")
    house.put("images/b.png", b"nothing")
    assert doubles(looked(house)) == []
