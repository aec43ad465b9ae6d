"""Many annotations, of images of one name, of several images, or of none: nothing is lost, and all is said."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from services.errors import BadRequest, Forged, UpstreamBusy
from services.inbound.notes import Notes
from services.inbound.receive import MOST_AT_ONCE
from tests.unit.inbound.test_label_studio import House, annotation, deletion, message, rectangle


@pytest.fixture
def house() -> House:
    return House()


def bulk(count: int, minute: int = 1) -> dict[str, Any]:
    tasks = [{"id": n, "data": {"image": f"cards/images/shelf/{n}.jpg"}} for n in range(1, count + 1)]
    annotations = [annotation(n, minute, "ace", task=n) for n in range(1, count + 1)]
    return {"action": "ANNOTATIONS_CREATED", "annotation": annotations, "task": tasks}


def test_many_annotations_at_once_are_worked_on_later_and_end_alike(house: House) -> None:
    assert len(house.send(bulk(MOST_AT_ONCE))["files"]) == MOST_AT_ONCE
    house.cloud.data.blobs.clear()
    answer = house.send(bulk(40, minute=2))
    assert (answer["taken"], answer["files"], house.cloud.data.blobs) == (True, [], {})
    house.send(deletion(2))
    house.send(message("ANNOTATION_UPDATED", annotation(1, 5, "jack")))
    assert house.work() == []
    assert house.classes() == ["jack"]
    assert len(house.cloud.data.blobs) == 39
    assert not [name for name in house.cloud.system.blobs if "/bodies/" in name]


def test_many_annotations_of_one_image_meet_each_other_and_are_all_taken(house: House) -> None:
    task = {"id": 5, "data": {"image": "cards/images/shelf/1.jpg"}}
    many = [annotation(n, n, f"class {n}") for n in range(1, 41)]
    house.send({"action": "ANNOTATIONS_CREATED", "annotation": many, "task": [task]})
    assert house.work() == []
    assert house.classes() == ["class 40"]
    house.send(deletion(*range(2, 41)))
    assert house.work() == []
    assert house.classes() == ["class 1"]


def test_a_repetition_writes_nothing_but_the_label_file(house: House) -> None:
    created = message("ANNOTATION_CREATED", annotation(17, 1, "ace"))
    house.send(created)
    before = {name: blob.etag for name, blob in house.cloud.system.blobs.items()}
    house.send(created)
    assert {name: blob.etag for name, blob in house.cloud.system.blobs.items()} == before


@pytest.mark.parametrize("at", range(2, 8))
def test_what_storage_does_not_take_at_once_is_taken_later(house: House, at: int) -> None:
    """Label Studio sends once."""
    left = [at]

    def away(call: str) -> None:
        left[0] -= call.startswith("before:blob")
        if left[0] == 0:
            left[0] -= 1
            raise UpstreamBusy("storage answers 503")

    house.cloud.on_call = away
    answer = house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace")))
    assert (answer["taken"], answer["files"]) == (True, [])
    house.cloud.on_call = lambda _: None
    assert house.work() == []
    assert house.classes() == ["ace"]


def test_many_annotations_that_are_wrong_are_told_at_once(house: House) -> None:
    wrong = bulk(40)
    for task in wrong["task"]:
        task["data"] = {}
    with pytest.raises(BadRequest):
        house.send(wrong)
    assert not house.queue.sent


@pytest.mark.parametrize("count", [2, 40])
def test_of_many_the_right_ones_are_taken_and_the_wrong_ones_told(house: House, count: int) -> None:
    """Label Studio sends once: all would be lost by one task without an image."""
    partly = bulk(count)
    partly["task"][count - 1]["data"] = {"text": "no image"}
    assert house.send(partly)["taken"]
    assert house.work() == []
    assert len(house.cloud.data.blobs) == count - 1
    notes = Notes(house.cloud.system)
    [note] = [notes.read(blob.name) for blob in notes.list("cards")]
    assert f"1 of {count} annotations" in note.reason
    assert "task.data" in note.problems[0].found
    assert house.cloud.wakes.sent, "the loop is woken, so that it is told now"
    house.send(message("ANNOTATION_CREATED", annotation(99, 1, "ace")))
    assert [*notes.list("cards")] == []


def test_images_of_one_name_in_other_folders_have_files_of_their_own(house: House) -> None:
    """Outside of the loop's `images/`: the second was written over the first."""
    for number, folder in ((1, "bucket/train"), (2, "bucket/val")):
        image = f"s3://{folder}/1.jpg"
        house.send(message("ANNOTATION_CREATED", annotation(number, number, "ace", task=number), image))
    house.send(message("ANNOTATION_UPDATED", annotation(1, 3, "jack"), "https://x.example/train/1.jpg?X-Amz-Date=x"))
    labels = {name: json.loads(blob.data)["labels"][0]["label"] for name, blob in house.cloud.data.blobs.items()}
    folder = "cards/labels/label-studio"
    assert labels == {f"{folder}/1.json": "jack", f"{folder}/bucket/val/1.json": "ace"}
    house.send(deletion(2))
    assert [*house.cloud.data.blobs] == [f"{folder}/1.json"]


@pytest.mark.parametrize("folder", ["azure-blob://visionloop-data/cards/images/shelf", "s3://bucket/shelf"])
def test_images_of_one_stem_in_one_folder_have_files_of_their_own(folder: str) -> None:
    """Of `1.jpg` and `1.png` the newer label was that of both."""
    sent = [(1, 1, "ace", "1.jpg"), (1, 4, "jack", "1.jpg"), (2, 2, "ten", "1.png"), (3, 3, "nine", "1.webp")]
    for order in itertools.permutations(sent):
        house = House()
        for number, minute, name, image in order:
            house.send(message("ANNOTATION_UPDATED", annotation(number, minute, name), f"{folder}/{image}"))
        labels = labels_of(house)
        assert {image.rpartition("/")[2]: label for image, label in labels.values()} == {
            "1.jpg": "jack", "1.png": "ten", "1.webp": "nine",
        }  # fmt: skip
        first = order[0][3]
        assert {name.rpartition("/")[2] for name, (image, _) in labels.items() if not image.endswith(first)} == {
            f"{image}.json" for _, _, _, image in sent if image != first
        }, "the first keeps the short name"
        house.send(deletion(1))
        assert sorted(label for _, label in labels_of(house).values()) == ["nine", "ten"]


def labels_of(house: House) -> dict[str, tuple[str, str]]:
    found = {name: json.loads(blob.data) for name, blob in house.cloud.data.blobs.items()}
    return {name: (each["image"], each["labels"][0]["label"]) for name, each in found.items()}


def test_images_of_one_stem_and_of_one_name_are_told_apart_together(house: House) -> None:
    images = [f"s3://bucket/{folder}/1.{kind}" for kind in ("jpg", "png") for folder in ("train", "val")]
    for _ in range(2):
        for number, image in enumerate(images):
            house.send(message("ANNOTATION_UPDATED", annotation(number, number, f"c{number}"), image))
    assert sorted(labels_of(house).values()) == [
        ("bucket/train/1.jpg", "c0"), ("bucket/train/1.png", "c2"), ("bucket/val/1.jpg", "c1"),
        ("bucket/val/1.png", "c3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s3://bucket/train/1.jpg", "https://bucket.s3.amazonaws.com/train/1.jpg?X-Amz-Signature=x"),
        ("s3://bucket/train/1.jpg", "/data/upload/3/0a1b2c3d-1.jpg"),
        ("/data/upload/3/0a1b2c3d-1.jpg", "/data/upload/4/ffffffff-1.jpg"),
        ("azure-blob://visionloop-data/cards/images/a/1.jpg", "/data/local-files/?d=cards/images/a/1.jpg"),
    ],
)
def test_one_image_by_several_addresses_has_one_file(house: House, one: str, other: str) -> None:
    for number, image in enumerate((one, other, one), 1):
        house.send(message("ANNOTATION_CREATED", annotation(number, number, "ace"), image))
    assert len(house.cloud.data.blobs) == 1


def test_shapes_in_several_images_of_a_task_become_no_labels_of_the_first(house: House) -> None:
    result = [rectangle("ace"), {**rectangle("jack"), "to_name": "second"}]
    with pytest.raises(BadRequest, match="several images"):
        house.send(message("ANNOTATION_CREATED", annotation(17, 1, result=result)))
    text = {"type": "choices", "to_name": "text", "value": {"choices": ["fine"]}}
    house.send(message("ANNOTATION_CREATED", annotation(17, 1, result=[rectangle("ace"), text, {"value": None}])))
    assert house.label() is not None


@pytest.mark.parametrize("value", [7, "x", [[1]], [{}], None])
def test_odd_values_are_kept_for_their_problem_to_be_shown(house: House, value: Any) -> None:
    result = [rectangle("ace"), {**rectangle("jack"), "value": value, "to_name": []}]
    house.send(message("ANNOTATION_CREATED", annotation(17, 1, result=result)))
    assert len((house.label() or {})["result"]) == 2


def test_what_cannot_be_taken_is_noted_until_something_is(house: House) -> None:
    """Label Studio shows nobody what it is answered."""
    notes = Notes(house.cloud.system)
    for body in ({"action": "ANNOTATIONS_DELETED"}, {"action": "ANNOTATION_CREATED"}):
        with pytest.raises(BadRequest):
            house.send(body)
    [blob] = notes.list("cards")
    assert house.work() == []
    [said] = notes.read(blob.name).problems
    assert (said.code, "Send payload" in said.expected) == ("inbound-failed", True)
    house.send({"action": "PROJECT_UPDATED"})
    assert [*notes.list("cards")] == [blob]
    house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace")))
    assert [*notes.list("cards")] == []
    with pytest.raises(BadRequest):
        house.send({"action": "ANNOTATION_CREATED"})
    house.send(bulk(MOST_AT_ONCE + 1))
    assert len([*notes.list("cards")]) == 1
    house.work()
    assert [*notes.list("cards")] == []


def test_a_forgery_is_noted_nowhere(house: House) -> None:
    with pytest.raises(Forged):
        house.inbound.take(house.id, {"x-visionloop-secret": "x"}, b"{}")
    assert [*Notes(house.cloud.system).list("cards")] == []
