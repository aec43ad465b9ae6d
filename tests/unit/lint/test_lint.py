from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue.documents import BucketRef, Index, Summary
from services.catalogue.lint import Whole, lint, whole
from services.labels.alike import plain, unknown_class
from services.labels.problems import CODES
from services.state import CatalogueState
from tests.support.dataset_house import BOX, House, coco, picture, voc


def codes(labelled: int, *, images: int | None = None, **classes: int) -> Counter[str]:
    return Counter(p.code for p in lint(Whole(labelled if images is None else images, labelled, classes)))


def test_a_loop_without_images_is_told_nothing() -> None:
    assert lint(Whole(0, 0, {"nut": 0})) == []


def test_a_good_data_set_is_told_nothing() -> None:
    assert codes(40, nut=10, bolt=30) == {}


def test_fewer_images_than_automl_takes() -> None:
    assert codes(9, nut=12) == {"dataset-too-small": 1}
    assert codes(10, nut=12) == {}


def test_classes_with_few_images() -> None:
    assert codes(60, nut=1, bolt=9, washer=10, declared=0) == {"class-too-few-images": 2, "class-few-images": 1}
    [first, second] = [p for p in lint(Whole(60, 60, {"nut": 1, "declared": 0, "x": 20})) if "too-few" in p.code]
    assert (first.place, first.found, second.place, second.found) == ("class declared", "0", "class nut", "1")


def test_imbalance_is_told_once_and_leaves_out_classes_that_are_told_of_already() -> None:
    assert codes(110, common=100, rare=10) == {}
    assert codes(111, common=101, rare=10, single=1) == {"class-imbalance": 1, "class-too-few-images": 1}
    [found] = lint(Whole(111, 111, {"common": 101, "rare": 10}))
    assert (found.place, found.found) == ("class rare", "101 of common, 10 of rare")


def test_names_that_a_person_takes_for_one() -> None:
    [found] = lint(Whole(60, 60, {"coke": 20, "Coke": 20, "pepsi": 20}))
    assert (found.code, found.found) == ("class-names-alike", "'Coke' (20 images), 'coke' (20 images)")


@pytest.mark.parametrize(
    "other", ["coke can", "Coke_Can", " COKE-CAN ", "coke  can", "\uff43oke can", "coke\N{NO-BREAK SPACE}can"]
)
def test_alike(other: str) -> None:
    assert plain(other) == plain("coke can")


@pytest.mark.parametrize(("one", "other"), [("1-2", "12"), ("c", "c++"), ("grade a", "grade a+"), ("can", "cans")])
def test_different(one: str, other: str) -> None:
    assert plain(one) != plain(other)


@given(st.text(alphabet="abcXYZ019 _-+", max_size=40))
def test_case_and_blanks_around_say_nothing(name: str) -> None:
    assert plain(name) == plain(name.swapcase()) == plain(f" {name}\t")


def test_what_an_unknown_class_may_have_meant_comes_first() -> None:
    known = frozenset(f"a class with a long name, number {n}" for n in range(50)) | {"zinc can"}
    assert unknown_class("labels/a.xml", "", "Zinc_Can", known).expected.startswith("one of zinc can, a class")
    assert "zinc" not in unknown_class("labels/a.xml", "", "tea", known).expected[:100]


def test_unlabelled_images_are_counted() -> None:
    [found] = lint(Whole(50, 20, {"nut": 20}))
    assert (found.code, found.found) == ("image-unlabelled", "30 of 50 without one")


@given(st.integers(0, 300), st.integers(0, 300), st.dictionaries(st.text(max_size=6), st.integers(0, 300), max_size=9))
def test_whatever_is_counted_only_known_codes_come_out(images: int, labelled: int, classes: dict[str, int]) -> None:
    found = lint(Whole(images, labelled, classes))
    assert {p.code for p in found} <= set(CODES)
    assert all(p.severity != "error" for p in found), "nothing is left out because of the others"


def test_label_files_that_do_not_count_are_told_the_greatest_first() -> None:
    superseded = {f"labels/{n:02}.json": (n, "labels/x.json") for n in range(1, 30)}
    found = lint(Whole(50, 50, {"nut": 50}, superseded=superseded))
    assert [p.file for p in found] == [f"labels/{n:02}.json" for n in range(29, 9, -1)]
    assert found[0].found == "29 images whose labels are those of other files, such as labels/x.json"


def test_the_whole_is_the_sum_of_its_buckets() -> None:
    one = Summary(images=3, labelled=2, sides={"nut": {"train": 1, "validation": 1}, "": {"train": 5}})
    two = Summary(images=4, labelled=4, sides={"nut": {"train": 3}})
    one.superseded, two.superseded = {"a.json": (1, "c.json")}, {"a.json": (2, "b.json")}
    index = Index(buckets=[BucketRef(summary=one), BucketRef(summary=two)])
    assert whole(index, ["bolt"]) == Whole(7, 6, {"nut": 5, "bolt": 0}, superseded={"a.json": (3, "b.json")})


def looked(house: House) -> CatalogueState:
    house.step()
    return house.state.catalogue


def test_the_state_has_it_beside_the_problems_of_files() -> None:
    house = House()
    house.labelled(4)
    house.put("images/none.png", picture(99))
    found = looked(house)
    assert [p.code for p in found.dataset_problems] == [
        "dataset-too-small", "class-few-images", "class-few-images", "image-unlabelled",
    ]  # fmt: skip
    assert (found.problems, found.problem_count) == ([], 0)
    assert house.kinds() == [], "more labels mend it: nobody is called for that"


def test_of_several_files_about_an_image_those_that_do_not_count_are_told() -> None:
    house = House()
    for number in range(12):
        house.put(f"images/{number}.png", picture(number))
        house.put(f"labels/old/{number}.xml", voc(("nut", BOX)))
    house.fakes.clock.advance(1)
    house.put("labels/a.json", coco({f"{number}.png": [("nut", BOX)] for number in range(10)}))
    house.put("labels/b.json", coco({f"{number}.png": [("bolt", BOX)] for number in range(3)}))
    found = {p.file: p.found for p in looked(house).dataset_problems if p.code == "label-superseded"}
    others = "images whose labels are those of other files, such as"
    assert {file: text.partition(f" {others} ")[::2] for file, text in found.items()} == {
        "labels/old/*.xml": ("10", "labels/a.json"),
        "labels/a.json": ("3", "labels/b.json"),
    }
    house.remove("labels/a.json")
    house.remove("labels/b.json")
    assert "label-superseded" not in {p.code for p in looked(house).dataset_problems}


def test_names_alike_are_told_to_webhooks_once() -> None:
    house = House()
    house.labelled(10, names=("coke", "Coke", "bolt"))
    found = looked(house)
    assert "class-names-alike" in {p.code for p in found.dataset_problems}
    [told] = [e for e in house.told if e.type.endswith("catalogue.problems")]
    assert told.data["problems"][0]["code"] == "class-names-alike"
    house.told.clear()
    house.put("images/more.png", picture(77))
    house.put("images/more.xml", voc(("coke", BOX)))
    looked(house)
    assert "catalogue.problems" not in house.kinds()
