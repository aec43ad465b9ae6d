"""A label file that is overwritten by a broken one unlabels nothing, whatever dies in between."""

from __future__ import annotations

import json
from itertools import count

import pytest

from services.catalogue import match, paths, refresh, store, working
from services.cloud.ports.storage import Blob
from services.datasets import observe
from services.datasets.parts import LabelFile, label_files, read_facts, read_parts
from services.errors import NotFound
from services.state import CatalogueState
from tests.support.dataset_house import BOX, LOOP, House, coco, picture, voc

IMAGES = 12
GOOD = coco({f"{n:03}.png": [(("nut", "bolt")[n % 2], BOX)] for n in range(IMAGES)})
FILE = "labels/all.json"
BROKEN = {
    "json-invalid": GOOD[: len(GOOD) // 2],
    "label-file-unknown": b'{"hello": "world"}',
    "xml-invalid": b"<annotation><object>",
    "coordinates-unclear": coco({"000.png": [("nut", (0, 0, 1, 1))]}),
}
YOLO, NAMES = b"0 0.5 0.5 0.5 0.5\n", b"names: [nut, bolt]\n"


@pytest.fixture(autouse=True, params=[2, 2048])
def _buckets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "BUCKET_FILES", request.param)


def good(**more: bytes) -> House:
    """A registered version from one file about all images."""
    house = House()
    for number in range(IMAGES):
        house.put(f"images/{number:03}.png", picture(number))
    house.put(FILE, GOOD)
    for name, data in more.items():
        house.put(name, data)
    house.settle()
    return house


def looked(house: House) -> CatalogueState:
    house.fakes.clock.advance(1)
    return house.settle().catalogue


def codes(found: CatalogueState) -> list[str]:
    return [p.code for p in found.problems]


def etag_of(house: House, path: str = FILE) -> str:
    return next(b.etag for b in house.fakes.data.list(f"{LOOP}/{path}"))


@pytest.mark.parametrize("code", BROKEN)
def test_a_broken_file_over_a_good_one_keeps_its_labels_and_says_so(code: str) -> None:
    house = good()
    before, etag, told = house.state.catalogue, etag_of(house), len(house.told)
    house.put(FILE, BROKEN[code])
    found = looked(house)
    assert (found.labelled, found.content_hash) == (IMAGES, before.content_hash)
    assert codes(found) == [code]
    when = "2026-01-01 12:00:00 UTC"
    sentence = f"Until it can be read, the reading before counts: labels of {IMAGES} images, from the file of {when}"
    assert f"{sentence}, ETag {etag}." in found.problems[0].help
    assert [e.type for e in house.told[told:]] == ["visionloop.catalogue.problems"]
    assert house.told[-1].data["problems"][0]["help"] == found.problems[0].help
    assert house.told[-1].data["reason"].endswith(f". {sentence}, ETag {etag}.")
    assert len(house.state.datasets) == 1, "the same content is no new version"


def test_it_is_kept_through_other_broken_ones_until_a_good_one_or_none_is_there() -> None:
    house = good()
    etag = etag_of(house)
    for broken in BROKEN.values():
        house.put(FILE, broken)
        found = looked(house)
        assert (found.labelled, etag in found.problems[0].help) == (IMAGES, True)
    house.put(FILE, coco({"000.png": [("washer", BOX)]}))
    found = looked(house)
    assert (found.labelled, found.classes, found.problem_count) == (1, ["washer"], 0)
    house.put(FILE, BROKEN["json-invalid"])
    assert looked(house).classes == ["washer"]
    house.remove(FILE)
    found = looked(house)
    assert (found.labelled, found.waiting_labels, found.problem_count) == (0, 0, 0)


def test_a_file_that_never_was_good_has_nothing_to_keep() -> None:
    house = House()
    house.labelled(IMAGES)
    house.put(FILE, BROKEN["json-invalid"])
    house.settle()
    house.put(FILE, BROKEN["label-file-unknown"])
    found = looked(house)
    assert codes(found) == ["label-file-unknown"]
    assert "reading before" not in found.problems[0].help


def test_what_can_be_read_replaces_also_where_it_says_less_or_has_bad_lines() -> None:
    house = good()
    house.put(FILE, coco({"000.png": [("nut", BOX)], "001.png": [("nut", (0, 0, 0, 0))]}))
    found = looked(house)
    assert (found.labelled, codes(found)) == (1, ["box-empty"])
    house.put(FILE, coco({"000.png": []}))
    assert looked(house).labelled == 0, "a file that says nothing of any image is no broken one"


def test_the_kept_reading_does_not_win_over_what_came_after_it() -> None:
    house = good()
    house.fakes.clock.advance(1)
    house.put("images/000.xml", voc(("washer", BOX)))
    house.fakes.clock.advance(1)
    house.put(FILE, BROKEN["json-invalid"])
    assert looked(house).images_per_class == {"bolt": 6, "nut": 5, "washer": 1}


def test_a_sidecar_is_kept_as_a_file_about_many_is() -> None:
    house = House()
    house.labelled(IMAGES)
    house.settle()
    before = house.state.catalogue.content_hash
    house.put("images/003.xml", voc(("bolt", BOX))[:40])
    found = looked(house)
    assert (found.content_hash, codes(found)) == (before, ["xml-invalid"])
    assert "labels of 1 image," in found.problems[0].help
    house.remove("images/003.xml")
    assert looked(house).labelled == IMAGES - 1


def test_the_version_made_of_a_kept_reading_names_the_file_that_was_read() -> None:
    house = good()
    etag = etag_of(house)
    house.put(FILE, BROKEN["label-file-unknown"])
    house.put("images/new.png", picture(99))
    house.put("images/new.xml", voc(("nut", BOX)))
    looked(house)
    assert len(house.state.datasets) == 2
    system, version = house.fakes.system, house.state.datasets[-1]
    files, records = label_files(read_facts(system, read_parts(system, version)))
    assert (files[FILE], records[FILE]) == (LabelFile(etag, "coco"), IMAGES)


def with_names(names: bytes = NAMES) -> House:
    house = House()
    for number in range(IMAGES):
        house.put(f"images/{number:03}.png", picture(number))
        house.put(f"labels/{number:03}.txt", YOLO if number % 2 else YOLO.replace(b"0 ", b"1 ", 1))
    house.put("labels/data.yaml", names)
    house.settle()
    return house


def test_names_of_classes_are_kept_where_their_list_is_overwritten_by_a_broken_one() -> None:
    house = with_names()
    for broken in (b"names: [nut", b"", b"path: somewhere\n"):
        house.put("labels/data.yaml", broken)
        found = looked(house)
        assert (found.labelled, codes(found)) == (IMAGES, ["class-list-invalid"])
        assert "2 names of classes" in found.problems[0].help
    assert house.kinds()[-1] == "catalogue.problems"
    house.remove("labels/data.yaml")
    assert looked(house).labelled == 0


def test_names_are_not_kept_over_a_list_for_key_points() -> None:
    house = with_names()
    house.put("labels/data.yaml", b"kpt_shape: [17, 3]\nnames: [person]\n")
    assert looked(house).labelled == 0


def test_a_file_that_loop_yaml_has_read_otherwise_is_as_it_is_read_now() -> None:
    unclear = coco({f"{n:03}.png": [("nut", (0, 0, 1, 1))] for n in range(IMAGES)})
    house = good(**{FILE: unclear})
    assert house.state.catalogue.labelled == 0
    house.configure(labels={"coordinates": "normalised"})
    assert looked(house).labelled == IMAGES
    house.configure(labels={"coordinates": "auto"})
    found = looked(house)
    assert (found.labelled, codes(found)) == (0, ["coordinates-unclear"])
    house.configure(labels={"coordinates": "normalised"})
    looked(house)
    house.put(FILE, BROKEN["json-invalid"])
    assert looked(house).labelled == IMAGES
    house.configure(labels={"coordinates": "auto"})
    assert looked(house).labelled == IMAGES, "the bytes that could be read otherwise are gone"


def test_a_file_that_vanishes_while_it_is_read_counts_until_it_is_seen_to_be_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = good()
    house.put(FILE, coco({"000.png": [("nut", BOX)]}))
    with monkeypatch.context() as patch:
        patch.setattr(house.fakes.data, "stream", _nobody)
        house.step()
        assert house.state.catalogue.labelled == IMAGES
    assert looked(house).labelled == 1


def _nobody(name: str, **_: object) -> Blob:
    raise NotFound(name)


def slices(house: House) -> None:
    """Have time for one batch only at each look."""
    left = count(0, -1)
    house.time_left = lambda: 1000.0 + observe.SLICE_SECONDS * next(left)


def _stored_by_an_earlier_version(house: House) -> None:
    """Documents without what entries have had since."""
    for name, blob in list(house.fakes.system.blobs.items()):
        if name.startswith(f"catalogue/{LOOP}/bucket"):
            document = json.loads(blob.data)
            for entry in document["labels"].values():
                del entry["images"], entry["kept"]
            house.fakes.system.write(name, json.dumps(document).encode())


def test_a_catalogue_that_an_earlier_version_stored_keeps_its_labels_too() -> None:
    house = good(**{"images/000.xml": voc(("washer", BOX))})
    _stored_by_an_earlier_version(house)
    house.put(FILE, BROKEN["json-invalid"])
    found = looked(house)
    assert found.labelled == IMAGES
    assert f"labels of {IMAGES} images" in found.problems[0].help


def _another_format(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (store, working, observe):
        monkeypatch.setattr(module, "FORMAT", 1_000)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_new_format_reads_everything_again_and_keeps_what_can_no_longer_be_read(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "BATCH", 4)
    house = good(**{"images/000.xml": voc(("washer", BOX))})
    before = house.state.catalogue
    house.put(FILE, BROKEN["label-file-unknown"])
    if when == "before":
        looked(house)
    house.fakes.data.calls.clear()
    _another_format(monkeypatch)
    slices(house)
    found = looked(house)
    assert house.fakes.data.calls.count("read") == IMAGES
    assert (found.labelled, found.content_hash) == (IMAGES, before.content_hash)
    assert (found.train_images, found.validation_images) == (before.train_images, before.validation_images)
    assert "reading before counts" in found.problems[0].help
    house.put(FILE, GOOD)
    assert looked(house).problem_count == 0


def test_a_label_that_an_earlier_version_gave_to_nobody_is_given_to_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two images of one stem; a version of the dataset cannot take an image that it gave no side."""
    house = good()
    for name in ("two.png", "two.bmp"):
        house.put(f"images/{name}", picture(len(name) + ord(name[-1])))
    house.put("labels/two.xml", voc(("nut", BOX)).replace(b"wrong.jpg", b"two.png"))
    find = match.Matcher.find
    with monkeypatch.context() as earlier:
        earlier.setattr(match.Matcher, "find", lambda *args, **more: find(*args, **more | {"named": ""}))
        assert codes(looked(house)) == ["image-ambiguous"]
    _another_format(monkeypatch)
    found = looked(house)
    assert (found.labelled, found.problem_count) == (IMAGES + 1, 0)
    assert found.train_images + found.validation_images == IMAGES + 1


def test_a_label_that_an_earlier_version_put_elsewhere_comes_to_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """`000.png.xml` was kept among files of the stem `000.png`, where its image is not."""
    house = House()
    for number in range(IMAGES):
        house.put(f"images/{number:03}.png", picture(number))
        house.put(f"labels/{number:03}.png.xml", voc((("nut", "bolt")[number % 2], BOX)))
    with monkeypatch.context() as earlier:
        for module in (paths, match):
            earlier.setattr(module, "stem", lambda path: path.rpartition("/")[2].rpartition(".")[0])
        assert house.settle().catalogue.waiting_labels == IMAGES
    _another_format(monkeypatch)
    found = looked(house)
    assert (found.labelled, found.waiting_labels, found.problem_count) == (IMAGES, 0, 0)
    house.fakes.data.calls.clear()
    assert looked(house).content_hash == found.content_hash
    assert "read" not in house.fakes.data.calls


def test_a_new_format_without_usable_documents_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    house = good()
    before = house.state.catalogue
    for name in list(house.fakes.system.blobs):
        if name.startswith(f"catalogue/{LOOP}/bucket"):
            house.fakes.system.write(name, b'{"images": 1}')
    _another_format(monkeypatch)
    assert looked(house).content_hash == before.content_hash
