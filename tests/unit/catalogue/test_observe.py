"""Uploads in, the state's catalogue out: through the stage, over the fakes."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from services.catalogue import working
from services.datasets.parts import members
from services.errors import NotFound
from tests.support.dataset_house import BOX, LOOP, House, coco, codes, looked, picture, voc


def test_an_empty_loop() -> None:
    found = looked(House())
    assert (found.images, found.labelled, found.task) == (0, 0, None)


def test_images_and_labels_are_counted() -> None:
    house = House()
    house.labelled(4)
    house.put("images/free.png", picture(99))
    house.put("images/none.png", picture(98))
    house.put("labels/none.xml", voc())
    found = looked(house)
    assert (found.images, found.labelled, found.negatives, found.quarantined) == (6, 5, 1, 0)
    assert found.images_per_class == found.annotations_per_class == {"bolt": 2, "nut": 2}
    assert (found.task, found.classes) == ("object_detection", ["bolt", "nut"])
    assert found.train_images + found.validation_images == 5


def test_an_unchanged_loop_costs_one_listing() -> None:
    house = House()
    house.labelled(4)
    house.step()
    house.fakes.system.calls.clear()
    assert house.calls_of_a_look() == ["list"]
    assert house.fakes.system.calls == ["write"], "only the test's own"


def test_only_what_changed_is_read() -> None:
    house = House()
    house.labelled(20)
    house.step()
    house.labelled(1, start=20)
    house.put("images/003.xml", voc(("washer", BOX)))
    assert house.calls_of_a_look() == ["list", "read", "stream", "stream"]
    found = house.state.catalogue
    assert (found.labelled, found.images_per_class["washer"]) == (21, 1)


def test_label_before_image_waits_and_is_never_lost() -> None:
    house = House()
    house.put("labels/a.xml", voc(("nut", BOX)))
    house.put("labels/all.json", coco({"b.png": [("nut", BOX)], "c.png": [("nut", BOX)]}))
    found = looked(house)
    assert (found.waiting_labels, found.labelled) == (3, 0)
    assert codes(found) == {"label-waiting": 3}
    for name in "abc":
        house.put(f"images/{name}.png", picture(ord(name)))
    found = looked(house)
    assert (found.waiting_labels, found.labelled, found.problem_count) == (0, 3, 0)


def test_deleting_is_followed() -> None:
    house = House()
    house.labelled(4)
    house.put("labels/all.json", coco({"003.png": [("washer", BOX)], "x.png": [("nut", BOX)]}))
    house.step()
    house.remove("images/000.png")
    house.remove("images/001.xml")
    found = looked(house)
    assert (found.images, found.labelled, found.waiting_labels) == (3, 2, 2)
    house.remove("labels/all.json")
    assert looked(house).waiting_labels == 1


def test_the_newest_label_wins_and_one_of_its_own_beats_a_bulk_file_of_the_same_age() -> None:
    house = House()
    house.put("images/a.png", picture(1))
    house.put("images/a.xml", voc(("sidecar", BOX)))
    house.put("labels/all.json", coco({"a.png": [("bulk", BOX)]}))
    assert looked(house).classes == ["sidecar"]
    house.fakes.clock.advance(1)
    house.put("labels/all.json", coco({"a.png": [("bulk", BOX)]}))
    assert looked(house).classes == ["bulk"]
    house.remove("labels/all.json")
    assert looked(house).classes == ["sidecar"]
    house.remove("images/a.xml")
    assert looked(house).labelled == 0


def test_a_coco_image_without_annotations_is_a_negative_and_one_with_only_bad_ones_is_not() -> None:
    house = House()
    for i, name in enumerate("abc"):
        house.put(f"images/{name}.png", picture(i))
    house.put("labels/l.json", coco({"a.png": [("nut", BOX)], "b.png": [], "c.png": [("nut", (60, 40, 30, 30))]}))
    found = looked(house)
    assert (found.labelled, found.negatives, found.quarantined) == (2, 1, 1)
    assert codes(found) == {"box-outside": 1}
    assert house.kinds() == ["catalogue.problems"]
    assert house.told[0].data["problems"][0]["place"] == "annotations[1]"
    assert house.told[0].data["reason"].startswith("box-outside in labels/l.json annotations[1]: expected ")


def test_what_is_wrong_with_a_whole_file_is_told_without_a_place() -> None:
    house = House()
    house.put("images/a.jpg", b"hello")
    house.step()
    assert house.told[0].data["reason"].startswith("image-unreadable in images/a.jpg: expected ")
    assert house.told[0].data["reason"].endswith("found a file that begins with 'hello'")


def test_a_problem_is_told_once_and_forgotten_when_mended() -> None:
    house = House()
    house.put("images/a.png", picture(1))
    house.put("images/a.xml", voc(("nut", (0, 0, 99, 9))))
    house.step()
    house.put("images/b.png", picture(2))
    house.step()
    assert house.kinds() == ["catalogue.problems"]
    house.put("images/a.xml", voc(("nut", BOX)))
    assert looked(house).problem_count == 0


def test_every_odd_file_has_a_reason_and_spoils_no_other() -> None:
    house = House()
    house.labelled(3)
    house.put("images/broken.jpg", b"no image")
    house.put("images/huge.png", picture(1) + b"\0" * (20 * 2**20))
    house.put("images/wide.png", picture(1, 9000, 6000))
    house.put("images/notes.txt", b"x")
    house.put("stray.png", picture(5))
    house.put("images/../x.png", picture(5))
    house.put("labels/bad.json", b'{"images": [')
    house.put("images/two.png", picture(7))
    house.put("images/two.bmp", picture(8))
    house.put("images/two.xml", voc(("nut", BOX)))
    house.put("images/mis.png", picture(9))
    house.put("images/mis.xml", voc(("nut", BOX), size=(640, 480)))
    found = looked(house)
    assert found.labelled == 3
    assert codes(found) == {
        "image-unreadable": 1,
        "image-too-large": 1,
        "image-too-many-pixels": 1,
        "label-file-unknown": 1,
        "file-misplaced": 1,
        "name-unusable": 1,
        "json-invalid": 1,
        "image-ambiguous": 1,
        "size-mismatch": 1,
    }
    assert all(p.file and p.help and p.expected and p.found for p in found.problems)
    assert found.quarantined == 7


LABELME = b'{"shapes": [], "flags": {"nut": true}, "imagePath": "two.png"}'


@pytest.mark.parametrize(
    ("file", "content", "labelled"),
    [
        ("labels/two.json", b'{"visionloop": 1, "image": "two.png", "labels": [{"label": "nut"}]}', True),
        ("labels/two.json", b'{"visionloop": 1, "image": "two.gif", "labels": [{"label": "nut"}]}', False),
        ("labels/two.json", b'{"visionloop": 1, "labels": [{"label": "nut"}]}', False),
        ("labels/two.png.json", b'{"visionloop": 1, "labels": [{"label": "nut"}]}', True),
        ("labels/two.json", LABELME, True),
        ("labels/two.json", LABELME.replace(b"two.png", b"two"), False),
    ],
)
def test_of_two_images_of_one_stem_the_right_one_is_labelled_or_both_are_named(
    file: str, content: bytes, labelled: bool
) -> None:
    house = House()
    house.put("images/two.png", picture(7))
    house.put("images/two.bmp", picture(8))
    house.put(file, content)
    found = looked(house)
    assert found.labelled == labelled
    told = [p.found for p in found.problems if p.code == "image-ambiguous"]
    assert told == ([] if labelled else ["images/two.bmp, images/two.png"])


def test_boxes_are_meant_as_displayed() -> None:
    house = House(None)
    for i in range(12):
        house.put(f"images/{i}.jpg", picture(i, 64, 48, "JPEG", 6))
        house.put(f"images/{i}.xml", voc(("nut", (0, 0, 24, 64)), size=(48, 64)))
    assert house.settle().catalogue.problem_count == 0
    line = house.lines("train")[0]
    assert line["image_details"] == {"format": "jpeg", "width": 48, "height": 64}
    assert line["label"][0]["bottomX"] == 0.5
    assert line["label"][0]["bottomY"] == 1.0


def test_blobs_without_md5_are_known_by_their_content(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    house = House()
    house.labelled(12)
    listed = house.fakes.data.list
    monkeypatch.setattr(house.fakes.data, "list", lambda prefix="": (replace(b, md5="") for b in listed(prefix)))
    house.settle()
    contents = {member.content for member in members(house.fakes.system, house.state.datasets[0])}
    assert hashlib.md5(picture(3)).hexdigest() in contents


def test_work_yields_commits_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.catalogue.refresh.BATCH", 5)
    house = House()
    house.labelled(20)
    house.time_left = lambda: 0.0
    for done in range(5, 40, 5):
        assert house.step() == 0.0
        assert house.state.reasons["dataset"] == f"Read 5 of {45 - done} changed files so far"
    reads = Counter(house.fakes.data.calls)
    assert house.step() == 60.0
    assert (house.state.catalogue.labelled, house.state.catalogue.task) == (20, "object_detection")
    assert reads["read"] + reads["stream"] + 5 == 40


def test_a_blob_that_vanishes_while_it_is_read_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    house.labelled(3)
    read = house.fakes.data.read

    def gone(name: str, **range_: int) -> object:
        if name.endswith("001.png"):
            raise NotFound(name)
        return read(name, **range_)

    monkeypatch.setattr(house.fakes.data, "read", gone)
    assert house.step() == 5.0
    assert house.state.catalogue.labelled == 2
    monkeypatch.undo()
    house.step()
    assert house.state.catalogue.labelled == 3


def test_an_image_overwritten_between_listing_and_reading_is_not_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    house.labelled(3)
    listed = list(house.fakes.data.list(f"{LOOP}/"))
    house.put("images/001.png", picture(1, 10, 10))
    monkeypatch.setattr(house.fakes.data, "list", lambda prefix="": iter(listed))
    assert house.step() == 5.0
    monkeypatch.undo()
    found = looked(house)
    assert (found.labelled, codes(found)) == (2, {"size-mismatch": 1})


def test_buckets_grow_and_nothing_changes_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    houses = House(), House()
    for house in houses:
        house.labelled(10)
        house.put("labels/l.json", coco({"x.png": [("nut", BOX)], "003.png": [("washer", BOX)]}))
        house.step()
    monkeypatch.setattr(working, "BUCKET_FILES", 3)
    for house in houses[1:]:
        house.labelled(10, start=10)
        house.step()
        house.remove("labels/l.json")
        house.labelled(1, start=20)
        assert house.calls_of_a_look() == ["list", "read", "stream"]
    monkeypatch.undo()
    houses[0].labelled(11, start=10)
    houses[0].remove("labels/l.json")
    houses[0].step()
    one, many = (h.state.catalogue.model_dump(exclude={"blob", "fingerprint"}) for h in houses)
    assert one["labelled"] == 21
    assert (one["content_hash"], one["images_per_class"]) == (many["content_hash"], many["images_per_class"])
    buckets = [n for n in houses[1].fakes.system.blobs if "/bucket-" in n]
    assert len(buckets) > 8


def test_documents_that_nothing_refers_to_are_deleted() -> None:
    house = House()
    for i in range(4):
        house.labelled(2, start=2 * i)
        house.step()
    kinds = Counter(n.rpartition("/")[2].partition("-")[0] for n in house.fakes.system.blobs if n.startswith("catal"))
    assert kinds == {"bucket": 1, "index": 1, "splits": 1}
