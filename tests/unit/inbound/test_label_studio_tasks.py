"""Tasks that are deleted in Label Studio: what it says of them, and that nobody has to find out that labels stay."""

from __future__ import annotations

from typing import Any

import pytest

from services.errors import BadRequest
from services.inbound.kept import GRACE
from services.inbound.notes import Notes
from tests.unit.inbound.test_label_studio import House, annotation, deletion, message
from tests.unit.inbound.test_label_studio_many import bulk


@pytest.fixture
def house() -> House:
    return House()


def gone(*numbers: int, **more: Any) -> dict[str, Any]:
    """As the button "Delete Tasks" and the API send it: the annotations are gone too, and named nowhere."""
    return {"action": "TASKS_DELETED", "tasks": [{"id": number} for number in numbers], "project": {"id": 2}, **more}


def told(house: House) -> list[str]:
    notes = Notes(house.cloud.system)
    return [notes.read(blob.name).problems[0].found for blob in notes.list("cards")]


def test_labels_of_deleted_tasks_stay_and_it_is_said_which(house: House) -> None:
    house.send(bulk(3))
    answer = house.send(gone(1, 3))
    assert (answer["taken"], "2 tasks" in answer["says"]) == (True, True)
    assert house.work() == []
    [said] = told(house)
    assert "2 tasks" in said
    assert "labels/label-studio/shelf/1.json, labels/label-studio/shelf/3.json" in said
    assert len(house.cloud.data.blobs) == 3
    assert house.cloud.wakes.sent, "the loop is woken, so that it is told now"
    assert not [name for name in house.cloud.system.blobs if "/bodies/" in name]


def test_what_is_told_ends_with_the_next_annotation(house: House) -> None:
    house.send(bulk(2))
    house.send(gone(1))
    house.work()
    assert told(house)
    house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace")))
    assert told(house) == []


def test_tasks_that_left_no_labels_are_no_problem(house: House) -> None:
    house.send(bulk(3))
    house.send(deletion(1))
    skipped = message("ANNOTATION_UPDATED", annotation(2, 5, was_cancelled=True, task=2), "cards/images/shelf/2.jpg")
    skipped["task"]["id"] = 2
    house.send(skipped)
    house.send(gone(1, 2, 99))
    assert house.work() == []
    assert told(house) == []


def test_an_image_of_another_task_is_not_that_tasks(house: House) -> None:
    house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace")))
    house.send(gone(17))
    house.work()
    assert told(house) == []
    house.send(gone(5))
    house.work()
    assert len(told(house)) == 1


def test_of_many_the_first_are_named(house: House) -> None:
    house.send(bulk(40))
    house.work()
    house.send(gone(*range(1, 41)))
    house.work()
    [said] = told(house)
    assert "40 tasks" in said
    assert said.endswith("…")


def test_a_worker_that_dies_at_it_is_followed_by_another(house: House) -> None:
    house.send(bulk(2))
    house.send(gone(1))
    house.queue.sent.clear()
    house.cloud.clock.advance(GRACE.total_seconds() + 1)
    house.worker().look_again()
    house.work()
    assert len(told(house)) == 1


@pytest.mark.parametrize(
    "body", [{"action": "TASKS_DELETED"}, gone(tasks=[{"id": []}]), gone(tasks=7), gone(tasks=[{}])]
)
def test_what_names_no_task_is_told_too(house: House, body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        house.send(body)
    assert len(told(house)) == 1
    assert not house.queue.sent


def test_a_message_about_no_task_at_all_is_nothing(house: House) -> None:
    assert house.send(gone())["files"] == []
    assert not house.queue.sent
