"""Numbered classes and their names, and what loop.yaml says of label files: through the stage, over the fakes."""

from __future__ import annotations

import json

import pytest

from services.catalogue.class_names import class_list_of, class_lists
from services.catalogue.documents import Summary
from services.loop_config import LoopConfig
from services.state import CatalogueState
from tests.support.dataset_house import BOX, House, coco, picture

LINE = b"1 0.5 0.5 0.25 0.5\n"


def looked(house: House) -> CatalogueState:
    house.step()
    return house.state.catalogue


def codes(found: CatalogueState) -> list[str]:
    return sorted(p.code for p in found.problems)


def yolo_house(count: int = 3) -> House:
    house = House()
    for i in range(count):
        house.put(f"images/train/{i}.png", picture(i))
        house.put(f"labels/train/{i}.txt", LINE)
    return house


def test_labels_wait_for_the_names_of_their_classes_and_are_not_read_again() -> None:
    house = yolo_house()
    found = looked(house)
    assert (found.labelled, found.task, found.quarantined) == (0, "object_detection", 3)
    assert codes(found) == ["class-names-missing"] * 3
    house.put("data.yaml", b"names: [nut, bolt]")
    assert house.calls_of_a_look() == ["list", "read"], "the list of names and nothing else"
    found = house.state.catalogue
    assert (found.labelled, found.annotations_per_class, found.problem_count) == (3, {"bolt": 3}, 0)


def test_names_may_come_first_change_and_go() -> None:
    house = House()
    house.put("labels/classes.txt", b"nut\nbolt\n")
    house.step()
    for i in range(3):
        house.put(f"images/{i}.png", picture(i))
        house.put(f"labels/{i}.txt", LINE)
    before = looked(house)
    assert before.images_per_class == {"bolt": 3}
    house.put("labels/classes.txt", b"nut\nscrew\n")
    after = looked(house)
    assert (after.images_per_class, after.content_hash != before.content_hash) == ({"screw": 3}, True)
    house.remove("labels/classes.txt")
    assert codes(looked(house)) == ["class-names-missing"] * 3
    house.put("labels/classes.txt", b"nut\nbolt\n")
    assert looked(house).content_hash == before.content_hash


def test_a_number_without_a_name_is_quarantined_and_an_empty_file_is_a_negative() -> None:
    house = yolo_house(1)
    house.put("labels/data.yaml", b"names: {1: bolt, 3: nut}")
    house.put("labels/train/0.txt", LINE + b"2 0.5 0.5 0.25 0.5\n")
    house.put("images/train/none.png", picture(9))
    house.put("labels/train/none.txt", b"")
    found = looked(house)
    assert (found.labelled, found.negatives, found.annotations_per_class) == (2, 1, {"bolt": 1})
    [problem] = found.problems
    assert (problem.code, problem.place, problem.found) == ("class-number-unknown", "line 2", "2")
    assert problem.expected == "one of 2 numbers from 1 to 3"


def test_a_negative_needs_no_names() -> None:
    house = yolo_house(1)
    house.put("labels/train/0.txt", b"")
    house.put("images/box.png", picture(7))
    house.put("labels/box.json", coco({"box.png": [("nut", BOX)]}))
    assert (looked(house).negatives, looked(house).problem_count) == (1, 0)


@pytest.mark.parametrize(
    ("lists", "file", "name"),
    [
        (["", "labels", "labels/train"], "labels/train/a.txt", "labels/train"),
        (["", "labels"], "labels/train/a.txt", "labels"),
        ([""], "labels/train/a.txt", ""),
        (["labels"], "images/train/a.txt", "labels"),
        (["images"], "labels/train/a.txt", "images"),
        (["labels/other"], "labels/train/a.txt", None),
        ([], "labels/a.txt", None),
    ],
)
def test_the_nearest_list_counts(lists: list[str], file: str, name: str | None) -> None:
    assert class_list_of(file, {folder: {0: folder} for folder in lists}) == (None if name is None else {0: name})


def test_of_several_lists_in_a_folder_data_yaml_counts() -> None:
    names = ["obj.names", "z.yaml", "classes.txt", "data.yaml"]
    for first in (["data.yaml", "classes.txt", "obj.names", "z.yaml"], names):
        found = Summary(class_lists={f"labels/{name}": {0: name} for name in first})
        assert class_lists([found]) == {"labels": {0: "data.yaml"}}
    both = [Summary(class_lists={"b.yaml": {0: "b"}}), Summary(class_lists={"a.yaml": {0: "a"}})]
    assert class_lists(both) == class_lists(both[::-1]) == {"": {0: "a"}}


def test_a_file_about_many_images_is_read_again_when_loop_yaml_says_otherwise() -> None:
    house = House(LoopConfig(task="object_detection"))
    house.put("images/a.png", picture(1))
    house.put("images/b.png", picture(2))
    house.put("images/b.xml", b"<annotation/>")
    document = json.loads(coco({"a.png": [("nut", (0.25, 0.25, 0.5, 0.5))]}, size=(0, 0)))
    house.put("labels/all.json", json.dumps(document).encode())
    found = looked(house)
    assert (found.labelled, codes(found)) == (1, ["coordinates-unclear"])
    house.configure(task="object_detection", labels={"coordinates": "normalised"})
    assert house.calls_of_a_look() == ["list", "stream"]
    found = house.state.catalogue
    assert (found.labelled, found.annotations_per_class, found.problem_count) == (2, {"nut": 1}, 0)
    assert house.calls_of_a_look() == ["list"]


def test_outlines_are_read_when_the_task_wants_them_and_reach_automl() -> None:
    house = House()
    images = {f"{i}.png": [("nut", BOX)] for i in range(12)}
    document = json.loads(coco(images))
    for annotation in document["annotations"]:
        annotation["segmentation"] = [[8, 6, 40, 6, 40, 30]]
    house.put("labels/all.json", json.dumps(document).encode())
    for i in range(12):
        house.put(f"images/{i}.png", picture(i))
    assert looked(house).task == "object_detection"
    house.configure(task="instance_segmentation")
    house.settle()
    label = {"label": "nut", "isCrowd": 0, "polygon": [[0.125, 0.125, 0.625, 0.125, 0.625, 0.625]]}
    assert house.state.datasets[-1].task == "instance_segmentation"
    assert [line["label"] for line in house.lines("train")] == [[label]] * house.state.catalogue.train_images


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/{}/0.png", "labels/{}/0.txt"),
        ("images/{}/images/0.png", "images/{}/labels/0.txt"),
        ("images/{}/0.png", "labels/{}/labels/0.txt"),
        ("images/set/{}/JPEGImages/0.png", "labels/set/{}/Annotations/0.txt"),
    ],
)
def test_images_and_labels_in_mirrored_folders_are_pairs(image: str, label: str) -> None:
    house = House()
    house.put("data.yaml", b"names: [nut, bolt]")
    for number, side in enumerate(("train", "val", "test")):
        house.put(image.format(side), picture(number))
        house.put(label.format(side), LINE if side == "train" else LINE * (number + 1) if side == "val" else b"")
    found = looked(house)
    assert (found.labelled, found.negatives, found.waiting_labels) == (3, 1, 0)
    assert codes(found) == ["box-duplicate"]
