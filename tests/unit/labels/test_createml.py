from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from services.labels.createml import CreatemlReader
from services.labels.options import Options
from services.labels.record import ImageRecord, RawLabel, Reading
from tests.support.label_documents import CREATEML, SAMPLES
from tests.support.label_files import damaged, labels, loosely, problems, read, records, sane

COORDINATES = {"x": 10, "y": 20, "width": 4, "height": 6}
BOX = (8, 17, 12, 23)


def one(*annotations: Any, **more: Any) -> list[Reading]:
    """An image after one that is known, which tells the format."""
    image = {"image": "a.jpg", "annotations": list(annotations)} | more
    _, *found = read(json.dumps([CREATEML[1], image]).encode(), expect="createml")
    return found


def test_boxes_are_told_by_their_middle() -> None:
    assert read(SAMPLES["createml"]) == [
        ImageRecord(
            "belt/a.jpg",
            "[0]",
            (
                RawLabel("nut", (10, 20.5, 210, 170.5), "[0].annotations[0]"),
                RawLabel("bolt", (18, 26, 22, 34), "[0].annotations[1]"),
            ),
        ),
        ImageRecord("belt/b.jpg", "[1]"),
    ]


def test_apple_s_own_names_of_members() -> None:
    image = {"imagefilename": "cat and dog.png", "annotation": [{"label": "cat", "coordinates": COORDINATES}]}
    (record,) = records(read(json.dumps([image]).encode(), expect="createml"))
    assert (record.image, record.labels[0].box) == ("cat and dog.png", BOX)


def test_a_label_alone_is_a_class_of_the_whole_image() -> None:
    found = one({"label": "rusty"}, {"label": "new", "uniqueIdentifier": "4E6FA307"}, "old")
    assert [(label.label, label.box) for label in labels(found)] == [("rusty", None), ("new", None), ("old", None)]
    assert [label.label for label in labels(one(annotations="rusty"))] == ["rusty"]


def test_label_studio_s_list_with_an_image_stays_label_studio_s() -> None:
    minimal = {"image": "/data/a.jpg", "annotation_id": 4, "annotations": [], "choice": "rusty", "id": 1}
    read(json.dumps([minimal]).encode(), expect="label-studio")


@pytest.mark.parametrize("unit", ["auto", "pixels", "normalised"])
def test_shares_are_taken_for_such_only_where_loop_yaml_says_so(unit: Any) -> None:
    shares = {"x": 0.5, "y": 0.5, "width": 0.5, "height": 1}
    data = json.dumps([{"image": "a.jpg", "annotations": [{"label": "nut", "coordinates": shares}]}]).encode()
    found = list(CreatemlReader().told(Options(coordinates=unit)).read("labels/a.json", iter([data])))
    if unit == "auto":
        assert problems(found) == [("coordinates-unclear", "[0].annotations[0].coordinates")]
        assert records(found)[0].broken == 1
    else:
        assert [(label.box, label.shares) for label in labels(found)] == [((0.25, 0, 0.75, 1), unit == "normalised")]


@pytest.mark.parametrize(
    ("found", "code", "place"),
    [
        (one(7), "class-invalid", "[1].annotations[0].label"),
        (one({"coordinates": COORDINATES}), "class-invalid", "[1].annotations[0].label"),
        (one({"label": "nut", "coordinates": None}), "box-invalid", "[1].annotations[0].coordinates"),
        (one({"label": "nut", "coordinates": COORDINATES | {"x": "1"}}), "box-invalid", "[1].annotations[0].coordinates"),
        (one({"label": "nut", "bbox": [1, 2, 3, 4]}), "box-invalid", "[1].annotations[0].coordinates"),
        (one(annotations=None), "createml-structure", "[1]"),
        (one(image=""), "createml-structure", "[1]"),
        (read(b'[{"image": "a.jpg", "annotations": []}, 7]'), "createml-structure", "[1]"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_where_it_is_and_makes_no_negative(
    found: list[Reading], code: str, place: str
) -> None:
    assert problems(found) == [(code, place)]
    assert all(record.broken or record.place == "[0]" for record in records(found))


def test_one_bad_box_leaves_the_others() -> None:
    found = one({"label": "nut", "coordinates": {}}, {"label": "bolt", "coordinates": COORDINATES})
    assert [(label.label, label.box) for label in labels(found)] == [("bolt", BOX)]


def test_a_file_that_is_cut_off_says_nothing() -> None:
    found = read(SAMPLES["createml"][:-1])
    assert records(found) == []
    assert [code for code, _ in problems(found)] == ["json-invalid"]


@given(loosely(CREATEML))
def test_any_json_gives_records_and_known_problems_only(document: Any) -> None:
    images = document if isinstance(document, list) else [document]
    sane(read(json.dumps([CREATEML[1], *images]).encode(), cut=100, expect="createml"))


@given(damaged(SAMPLES["createml"]))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data, cut=100))
