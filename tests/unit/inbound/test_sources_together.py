"""Several sources of a loop, and messages that come again: no label goes that somebody still has, none gets younger."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.unit.inbound import test_cvat as of_cvat
from tests.unit.inbound.test_cvat import FakeCvat, box, changed, done
from tests.unit.inbound.test_label_studio import FILE, House, annotation, deletion, message


class Two:
    """Two projects of Label Studio, which both number from 1, for one loop."""

    def __init__(self) -> None:
        self.house = House()
        self.proofs = [(self.house.id, self.house.secret), self.house.register(kind="label_studio")]

    def send(self, which: int, sent: dict[str, Any]) -> None:
        number, secret = self.proofs[which]
        self.house.inbound.take(number, {"x-visionloop-secret": secret}, json.dumps(sent).encode())


def test_what_one_source_deletes_is_what_it_said_itself() -> None:
    sent = [
        (0, message("ANNOTATION_CREATED", annotation(1, 5, "ace"))),
        (1, message("ANNOTATION_CREATED", annotation(1, 3, "jack"))),
        (0, deletion(1)),
    ]
    for order in itertools.permutations([*sent, sent[0]]):
        two = Two()
        for which, each in order:
            two.send(which, each)
        assert two.house.classes() == ["jack"]
        two.send(1, deletion(1))
        assert two.house.classes() is None


def test_of_two_sources_the_newest_label_holds_whatever_comes_last() -> None:
    sent = [(which, message("ANNOTATION_CREATED", annotation(1, 9 - which, f"class {which}"))) for which in (0, 1)]
    for order in itertools.permutations(sent):
        two = Two()
        for which, each in order:
            two.send(which, each)
        assert two.house.classes() == ["class 0"]


def test_jobs_of_one_number_of_two_servers_do_not_take_each_others_labels() -> None:
    house = of_cvat.House()
    proofs = [(house.id, house.secret), house.register(kind="cvat", address="https://b.example/", token="t")]
    frame = of_cvat.FILES[0]
    for which, minute, shapes in ((0, 30, [box(3)]), (1, 35, [box(4)]), (1, 40, [])):
        house.id, house.secret = proofs[which]
        house.send(done(updated_date=f"2026-01-02T10:{minute}:00Z"))
        assert house.work(FakeCvat(changed(minute, *shapes))) == []
    assert json.loads(house.cloud.data.blobs[frame].data)["labels"][0]["label"] == "bolt"


@pytest.fixture
def house() -> House:
    return House()


def age(house: House) -> str:
    """What the loop tells the newest of several label files by: when this one was written."""
    return house.cloud.data.blobs[FILE].etag


def test_a_repetition_and_an_older_message_make_a_label_no_younger(house: House) -> None:
    """Else it would win over a label that somebody has uploaded since."""
    created = message("ANNOTATION_CREATED", annotation(17, 5, "ace"))
    house.send(created)
    before = age(house)
    house.cloud.clock.advance(3600)
    house.send(created)
    house.send(message("ANNOTATION_UPDATED", annotation(17, 4, "jack")))
    house.send(message("ANNOTATION_CREATED", annotation(16, 4, "ten")))
    house.send(deletion(16))
    assert age(house) == before


def test_who_saves_a_label_again_means_it_again(house: House) -> None:
    house.send(message("ANNOTATION_CREATED", annotation(17, 5, "ace")))
    before = age(house)
    house.send(message("ANNOTATION_UPDATED", annotation(17, 6, "ace")))
    assert age(house) != before


def test_a_file_that_was_not_written_is_written_by_a_repetition(house: House) -> None:
    created = message("ANNOTATION_CREATED", annotation(17, 5, "ace"))
    house.send(created)
    for lost in (house.cloud.data.blobs.clear, lambda: house.cloud.data.write(FILE, b"{}")):
        lost()
        house.send(created)
        assert house.classes() == ["ace"]


def test_a_job_of_cvat_that_is_looked_up_again_makes_no_label_younger() -> None:
    house = of_cvat.House()
    house.send(done())
    house.work(FakeCvat(changed(30, box(3))))
    before = house.cloud.data.blobs[of_cvat.FILES[0]].etag
    for name in [name for name in house.cloud.system.blobs if "/jobs/" in name or "/taken/" in name]:
        house.cloud.system.delete(name)  # as if it had died before it noted that it was done
    house.send(done())
    house.work(FakeCvat(changed(30, box(3))))
    assert house.cloud.data.blobs[of_cvat.FILES[0]].etag == before
