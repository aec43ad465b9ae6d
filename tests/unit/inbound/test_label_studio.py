"""Label Studio's webhooks, in any order and repeated, become the label file that the newest annotation says."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from services.errors import BadRequest, Forged
from services.inbound.label_studio import changes_of
from services.inbound.newest import MOST_KEPT
from services.labels.label_studio import LabelStudioReader
from services.labels.per_image import PerImageReader
from services.labels.record import ImageRecord
from services.state import Problem
from tests.support.inbound_house import InboundHouse

SAMPLES = Path(__file__).resolve().parents[2] / "support" / "label_studio_samples"
BOX = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
FILE = "cards/labels/label-studio/shelf/1.json"


class House(InboundHouse):
    """A loop that a Label Studio project sends to."""

    def __init__(self) -> None:
        super().__init__()
        self.id, self.secret = self.register(kind="label_studio")

    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        headers = {"x-visionloop-secret": self.secret}
        return self.inbound.take(self.id, headers, json.dumps(message).encode())

    def label(self) -> dict[str, Any] | None:
        blob = self.cloud.data.blobs.get(FILE)
        return json.loads(blob.data) if blob else None

    def classes(self) -> list[str] | None:
        found = self.label()
        return [label["label"] for label in found["labels"]] if found else None


@pytest.fixture
def house() -> House:
    return House()


def rectangle(name: str, **more: Any) -> dict[str, Any]:
    value = {**BOX, "rectanglelabels": [name], **more}
    return {"id": name, "type": "rectanglelabels", "from_name": "label", "to_name": "image", "value": value,
            "original_width": 200, "original_height": 100, "image_rotation": 0}  # fmt: skip


def annotation(number: int = 17, minute: int = 1, *names: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "task": 5, "result": [rectangle(name) for name in names], "was_cancelled": False,
            "created_at": "2026-01-01T10:00:00Z", "updated_at": f"2026-01-01T10:{minute:02}:00.123Z", **more}  # fmt: skip


def message(action: str, found: Any, image: str = "azure-blob://visionloop-data/cards/images/shelf/1.jpg") -> Any:
    return {"action": action, "annotation": found, "task": {"id": 5, "data": {"image": image}}, "project": {"id": 2}}


def deletion(*numbers: int) -> dict[str, Any]:
    annotations = [{"id": number} for number in numbers]
    return {"action": "ANNOTATIONS_DELETED", "annotations": annotations, "project": {"id": 2}}


def test_an_annotation_becomes_the_label_file_of_its_image(house: House) -> None:
    answer = house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace")))
    assert answer["files"] == ["labels/label-studio/shelf/1.json"]
    found = house.label()
    assert found is not None
    assert (found["width"], found["height"], found["unit"]) == (200, 100, "shares")
    assert found["labels"] == [{"label": "ace", "box": pytest.approx([0.1, 0.2, 0.4, 0.6])}]
    content = house.cloud.data.blobs[FILE].data
    [record] = PerImageReader().read(FILE, iter([content]))
    assert isinstance(record, ImageRecord)
    assert record.labels[0].label == "ace"


def recorded(name: str) -> dict[str, Any]:
    """What Label Studio 1.23.2 sent when tests/real ran; of the project some members only."""
    found: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return found


def test_what_an_installed_label_studio_sent_becomes_what_its_people_did(house: House) -> None:
    names = ["created", "updated", "skipped", "created_many", "deleted", "deleted_many"]
    files = [house.send(recorded(name))["files"] for name in names]
    uploaded, third = "labels/label-studio/up_4.json", "labels/label-studio/3.json"
    assert files == [
        ["labels/label-studio/1.json"], ["labels/label-studio/1.json"], ["labels/label-studio/2.json"],
        [third, uploaded], ["labels/label-studio/1.json"], ["labels/label-studio/2.json", third, uploaded],
    ]  # fmt: skip
    assert house.cloud.data.blobs == {}
    house = House()
    for name in names[:4]:
        house.send(recorded(name))
    found = {name: json.loads(blob.data)["labels"] for name, blob in house.cloud.data.blobs.items()}
    assert [(name.rpartition("/")[2], labels[0]["label"]) for name, labels in sorted(found.items())] == [
        ("1.json", "jack"), ("3.json", "ace"), ("up_4.json", "ace"),
    ]  # fmt: skip


def test_every_order_of_messages_and_repetitions_ends_alike(house: House) -> None:
    messages = [
        message("ANNOTATION_CREATED", annotation(17, 1, "ace")),
        message("ANNOTATION_UPDATED", annotation(17, 5, "jack")),
        message("ANNOTATION_CREATED", annotation(18, 3, "ten")),
        deletion(17),
    ]
    for order in itertools.permutations([*messages, messages[1]]):
        house = House()
        for each in order:
            house.send(each)
        assert house.classes() == ["ten"], [each["action"] for each in order]


def test_an_older_message_writes_over_nothing_newer(house: House) -> None:
    house.send(message("ANNOTATION_UPDATED", annotation(17, 5, "jack")))
    house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace")))
    assert house.classes() == ["jack"]


@pytest.mark.parametrize("number", ["17", "ü", "\ud800", "x" * 300])
def test_an_id_may_be_any_text(house: House, number: str) -> None:
    house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace", id=number)))
    assert house.classes() == ["ace"]
    house.send({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": number}]})
    assert house.label() is None


def test_the_last_deletion_takes_the_file_away_for_good(house: House) -> None:
    created = message("ANNOTATION_CREATED", annotation(17, 1, "ace"))
    house.send(created)
    house.send(deletion(17))
    assert house.label() is None
    house.send(created)
    assert house.label() is None


def test_a_deletion_before_its_annotation_holds(house: House) -> None:
    assert house.send(deletion(17))["files"] == []
    house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace")))
    assert house.label() is None


def test_an_empty_annotation_is_a_negative_and_a_skipped_one_is_nothing(house: House) -> None:
    house.send(message("ANNOTATION_CREATED", annotation(17, 1)))
    assert (house.label() or {})["negative"] is True
    house.send(message("ANNOTATION_UPDATED", annotation(17, 2, was_cancelled=True)))
    assert house.label() is None


def test_several_annotations_in_one_message_find_their_tasks(house: House) -> None:
    tasks = [{"id": n, "data": {"image": f"/data/local-files/?d=cards/images/{n}.jpg"}} for n in (5, 6)]
    both = [annotation(1, 1, "ace"), annotation(2, 1, "jack", task=6)]
    house.send({"action": "ANNOTATIONS_CREATED", "annotation": both, "task": tasks})
    assert sorted(house.cloud.data.blobs) == [f"cards/labels/label-studio/{n}.json" for n in (5, 6)]


def test_what_cannot_be_read_in_full_is_kept_as_it_is_so_that_its_problem_is_shown(house: House) -> None:
    result = [rectangle("ace"), {**rectangle("jack"), "type": "brushlabels", "value": {"brushlabels": ["jack"]}}]
    house.send(message("ANNOTATION_CREATED", annotation(17, 1, result=result, completed_by={"email": "ada@example"})))
    content = house.cloud.data.blobs[FILE].data
    readings = [*LabelStudioReader().read(FILE, iter([content]))]
    assert LabelStudioReader().accepts(content)
    assert [r.code for r in readings if isinstance(r, Problem)] == ["shape-unsupported"]
    assert [r.image for r in readings if isinstance(r, ImageRecord)] == ["visionloop-data/cards/images/shelf/1.jpg"]
    assert b"ada@example" not in content


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("azure-blob://visionloop-data/cards/images/a/images/1.jpg", "a/images/1"),
        ("https://x.example/visionloop-data/cards/images/a/1.jpg?sig=x", "a/1"),
        ("/data/upload/3/0a1b2c3d-1.jpg", "1"),
        ("s3://bucket/train/1.jpg", "1"),
        ("/tasks/5/resolve/?fileuri=YXp1cmUtYmxvYjovL2RhdGEvY2FyZHMvaW1hZ2VzL2EvMS5qcGc=", "a/1"),
        ("https://ls.example/tasks/5/presign/?fileuri=YXp1cmUtYmxvYjovL2RhdGEvY2FyZHMvaW1hZ2VzL2EvMS5qcGc", "a/1"),
        ("images/a/1.jpg", "a/1"),
        ("1.jpg", "1"),
    ],
)
def test_the_file_is_named_by_what_tells_images_apart(image: str, file: str) -> None:
    [change] = changes_of(json.dumps(message("ANNOTATION_CREATED", annotation(), image)).encode())
    assert change.file == f"labels/label-studio/{file}.json"


@pytest.mark.parametrize(
    "image",
    [
        "cards/images/../1.jpg",
        "cards/images/../../x.jpg",
        "cards/images/a\\..\\..\\x.jpg",
        "/tasks/5/resolve/?fileuri=%FF",
        "",
        7,
    ],
)
def test_no_image_leads_out_of_the_loop(house: House, image: Any) -> None:
    with pytest.raises(BadRequest):
        house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace"), image))
    assert not house.cloud.data.blobs


@pytest.mark.parametrize("action", ["TASKS_CREATED", "PROJECT_UPDATED", "START_TRAINING"])
def test_what_is_about_something_else_is_acknowledged(house: House, action: str) -> None:
    assert house.send({"action": action, "project": {"id": 2}, "tasks": [{"id": 1}]})["files"] == []


@pytest.mark.parametrize("headers", [{}, {"x-visionloop-secret": ""}, {"x-visionloop-secret": "whsec_é"}])
def test_without_the_secret_nothing_is_taken(house: House, headers: dict[str, str]) -> None:
    body = json.dumps(message("ANNOTATION_CREATED", annotation(17, 1, "ace"))).encode()
    with pytest.raises(Forged) as refused:
        house.inbound.take(house.id, headers, body)
    assert house.secret not in refused.value.detail
    assert not house.cloud.data.blobs


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b"[" * 100_000, b'{"action": 7}', b'{"action": "ANNOTATION_DELETED"}',
     b'{"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "result": []}}',
     b'{"action": "ANNOTATION_CREATED", "annotation": {"id": [], "result": []}, "task": {"data": {"image": "1.jpg"}}}'],
)  # fmt: skip
def test_a_body_that_is_no_message_is_a_bad_request(house: House, body: bytes) -> None:
    with pytest.raises(BadRequest):
        house.inbound.take(house.id, {"x-visionloop-secret": house.secret}, body)


def test_a_writer_who_comes_between_is_not_written_over(house: House) -> None:
    """Somebody merges a newer annotation after ours was merged and before ours is written."""
    between = [message("ANNOTATION_CREATED", annotation(18, 9, "ten"))]

    def interrupt(call: str) -> None:
        if call == "before:blob.write" and between and any("/images/" in name for name in house.cloud.system.blobs):
            house.send(between.pop())

    house.cloud.data.on_call = interrupt
    house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace")))
    assert not between
    assert house.classes() == ["ten"]


def test_who_skips_an_image_however_many_takes_no_label_of_it(house: House) -> None:
    """Of the annotations of one image a hundred are known: the oldest, which alone said something, was forgotten."""
    house.send(message("ANNOTATION_CREATED", annotation(1, 0, "ace")))
    for number in range(2, MOST_KEPT + 5):
        house.send(message("ANNOTATION_CREATED", annotation(number, number % 60, was_cancelled=True)))
    assert house.classes() == ["ace"]
    for number in range(200, 200 + MOST_KEPT):
        house.send(message("ANNOTATION_CREATED", annotation(number, 1, "jack")))
    house.send(message("ANNOTATION_CREATED", annotation(300, 59, "ten")))
    assert house.classes() == ["ten"], "of those that say something the oldest are forgotten"
