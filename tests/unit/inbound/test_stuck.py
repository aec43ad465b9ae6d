"""What storage never takes is told, not tried for ever in silence; and names that it cannot take are refused at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.errors import BadRequest, Upstream
from services.inbound.notes import Notes
from services.inbound.paths import image_file, label_file
from services.inbound.work import PATIENT_STORAGE
from tests.support.fake_cvat import sample
from tests.unit.inbound import test_cvat as of_cvat
from tests.unit.inbound.test_cvat import FakeCvat, box, done
from tests.unit.inbound.test_cvat_job import documents
from tests.unit.inbound.test_label_studio import House, annotation, message
from tests.unit.inbound.test_label_studio_many import bulk


@pytest.fixture
def house() -> House:
    return House()


def told(house: Any) -> list[str]:
    notes = Notes(house.cloud.system)
    return [notes.read(blob.name).reason for blob in notes.list("cards")]


def test_a_message_that_storage_never_takes_is_told_until_it_does(house: House) -> None:
    house.send(bulk(9))

    def refuse(call: str) -> None:
        if call == "before:blob.write":
            raise Upstream("Storage answered 400 OutOfRangeInput for a blob")

    house.cloud.data.on_call = refuse
    delays = []
    for attempt in range(1, PATIENT_STORAGE + 3):
        delays += house.work()
        assert len(told(house)) == (attempt >= PATIENT_STORAGE)
    assert delays[0] == 60
    assert delays == sorted(delays)
    assert max(delays) <= 600, "before the timer queues it too"
    assert "400" in told(house)[0]
    house.cloud.data.on_call = lambda _: None
    assert house.work() == []
    assert (told(house), len(house.cloud.data.blobs)) == ([], 9)


def test_storage_that_takes_not_even_the_note_loses_nothing(house: House) -> None:
    house.send(bulk(9))

    def away(_: str) -> None:
        raise Upstream("Storage did not answer")

    for _ in range(PATIENT_STORAGE + 2):
        house.cloud.on_call = away
        assert len(house.work()) == 1
    house.cloud.on_call = lambda _: None
    house.work()
    assert (told(house), len(house.cloud.data.blobs)) == ([], 9)


@pytest.mark.parametrize("name", ["x" * 970 + ".jpg", "a/" * 250 + "1.jpg"])
def test_a_name_that_no_blob_may_have_is_refused(house: House, name: str) -> None:
    """Azure takes 1,024 characters with the loop's name, and 254 parts."""
    for file in (image_file, lambda name: label_file(name, "label-studio/")):
        with pytest.raises(BadRequest):
            file(name)
    with pytest.raises(BadRequest):
        house.send(message("ANNOTATION_CREATED", annotation(17, 1, "ace"), f"cards/images/{name}"))
    assert len(told(house)) == 1
    assert len(f"{'l' * 40}/{label_file('x' * 900 + '.jpg', 'label-studio/')}") <= 1024


def test_a_frame_of_such_a_name_is_said_and_the_others_are_taken() -> None:
    house = of_cvat.House()
    meta = sample("meta")
    meta["frames"][0]["name"] = "x" * 966 + ".jpg"
    house.send(done())
    house.work(FakeCvat(documents(meta=meta, annotations={"shapes": [box(3, 16)], "tags": [], "tracks": []})))
    [reason] = told(house)
    assert "1 of its frames are no images" in reason
    assert len(house.files()) == 1
    assert json.loads(house.cloud.data.blobs[house.files()[0]].data)["labels"]
