"""A loop's export, uploaded as the labels of another loop, is what the other loop learns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.export.exports import Exports
from services.loop_config import LoopConfig, Task
from services.state_store import StateStore
from tests.support.dataset_house import LOOP, House, picture

CLASSES = ("nut", "bolt", "washer")


def labelled(task: Task, count: int = 12) -> House:
    house = House(LoopConfig(task=task))
    several = task == "image_classification_multilabel"
    for i in range(count):
        names = CLASSES[: 1 + i % 3] if several else CLASSES[i % 2 : i % 2 + 1]
        house.put(f"images/{i}.png", picture(i))
        house.put(f"labels/{i}.json", json.dumps({"visionloop": 1, "labels": [{"label": n} for n in names]}).encode())
    house.settle()
    return house


def exported(house: House) -> bytes:
    exports = Exports(StateStore(house.fakes.system, house.fakes.clock), house.fakes.system)
    return exports.export(LOOP, "1", "coco", "").body


def learnt(house: House) -> dict[str, Any]:
    lines = [*house.lines("train"), *house.lines("validation")]
    return {line["image_url"].rpartition("/")[2]: line["label"] for line in lines}


def uploaded(data: bytes, config: LoopConfig, count: int = 12) -> House:
    house = House(config)
    for i in range(count):
        house.put(f"images/{i}.png", picture(i))
    house.put("labels/export.json", data)
    house.settle()
    return house


@pytest.mark.parametrize("task", ["image_classification", "image_classification_multilabel"])
def test_classes_of_whole_images_come_back(task: Task) -> None:
    first = labelled(task)
    again = uploaded(exported(first), LoopConfig(task=task))
    assert learnt(again) == learnt(first)
    assert len(learnt(again)) == 12
    assert again.state.datasets[0].classes == first.state.datasets[0].classes


def test_what_it_is_for_is_told_by_the_labels_alone() -> None:
    first = labelled("image_classification")
    assert learnt(uploaded(exported(first), LoopConfig())) == learnt(first)


def test_a_loop_that_learns_boxes_refuses_them_clearly() -> None:
    refused = uploaded(exported(labelled("image_classification")), LoopConfig(task="object_detection")).state
    assert (refused.datasets, refused.catalogue.labelled) == ([], 0)
    problem = refused.catalogue.problems[0]
    assert (problem.code, problem.file) == ("label-kind", "labels/export.json")
    assert problem.place.startswith("annotations[")
    assert (problem.expected, problem.found) == ("a box, for task object_detection", "a class without a box")
