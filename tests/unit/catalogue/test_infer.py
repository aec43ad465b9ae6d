"""What a loop learns where loop.yaml does not say it, and which folders are classes."""

from __future__ import annotations

import pytest

from tests.support.dataset_house import BOX, House, codes, looked, picture, voc


def test_folders_are_classes_where_no_label_file_is() -> None:
    house = House()
    for i in range(12):
        house.put(f"images/{'can' if i % 2 else 'carton'}/{i}.png", picture(i))
    state = house.settle()
    assert (state.catalogue.task, state.catalogue.classes) == ("image_classification", ["can", "carton"])
    assert house.told[0].type == "visionloop.task.inferred"
    assert "2 folders" in house.told[0].data["reason"]
    assert {line["label"] for line in house.lines("train")} == {"can", "carton"}
    house.put("images/can/1.xml", voc(("can", BOX)))
    assert looked(house).task == "object_detection"


def test_folders_are_classes_below_those_of_splits() -> None:
    house = House()
    for i in range(12):
        house.put(f"images/{'valid' if i % 4 else 'train'}/{'can' if i % 2 else 'carton'}/{i}.png", picture(i))
    found = looked(house)
    assert (found.task, found.classes, found.labelled) == ("image_classification", ["can", "carton"], 12)


def test_one_folder_or_the_names_of_splits_are_no_classes() -> None:
    house = House()
    for i, folder in enumerate(["train", "test", "photos"]):
        house.put(f"images/{folder}/{i}.png", picture(i))
    found = looked(house)
    assert (found.task, found.labelled) == (None, 0)


def test_folders_are_the_classes_of_what_no_label_file_is_about_if_there_are_two() -> None:
    house = House()
    for i in range(12):
        house.put(f"images/belt/{i}.png", picture(i))
    house.put("labels/classes.csv", b"image,label\nbelt/0.png,bolt\n")
    assert (looked(house).classes, looked(house).labelled) == (["bolt"], 1)
    house.put("images/shelf/12.png", picture(12))
    found = looked(house)
    assert (found.images_per_class, found.labelled) == ({"belt": 11, "bolt": 1, "shelf": 1}, 13)


def test_the_config_rules_over_what_is_inferred() -> None:
    house = House()
    house.labelled(4)
    house.step()
    house.configure(classes=["nut", "washer"])
    found = looked(house)
    assert (found.labelled, found.classes, codes(found)) == (2, ["nut", "washer"], {"class-unknown": 2})
    assert found.images_per_class == {"nut": 2, "washer": 0}
    house.configure(task="image_classification")
    found = looked(house)
    assert (found.task, found.labelled, codes(found)) == ("image_classification", 0, {"label-kind": 4})
    house.configure()
    assert looked(house).labelled == 4


@pytest.mark.parametrize(("extra", "task"), [("", "image_classification"), ("1", "image_classification_multilabel")])
def test_classes_without_boxes_mean_classification(extra: str, task: str) -> None:
    house = House()
    rows = [f"{i}.png,{'nut' if i % 2 else 'bolt'}" for i in range(4)]
    house.put(
        "labels/classes.csv", "\n".join(["image,label", *rows, *([f"{extra}.png,round"] if extra else [])]).encode()
    )
    for i in range(4):
        house.put(f"images/{i}.png", picture(i))
    found = looked(house)
    assert (found.task, found.labelled, found.problem_count) == (task, 4, 0)
    house.put("labels/0.xml", voc(("nut", BOX)))
    assert looked(house).task == "object_detection"
