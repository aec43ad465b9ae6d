from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given

from services.labels.record import ImageRecord, RawLabel, Reading
from tests.support.label_documents import SAMPLES, VIA
from tests.support.label_files import damaged, labels, loosely, problems, read, records, sane

RECT = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}
BOX = (1, 2, 4, 6)


def region(shape: Any = RECT, **attributes: Any) -> dict[str, Any]:
    return {"shape_attributes": shape, "region_attributes": attributes}


def image(*regions: Any, **more: Any) -> dict[str, Any]:
    return {"filename": "a.jpg", "size": 9, "regions": list(regions), "file_attributes": {}} | more


def one(*regions: Any, **more: Any) -> list[Reading]:
    return read(json.dumps({"a.jpg9": image(*regions, **more)}).encode(), expect="via")


def said(found: list[Reading]) -> list[tuple[str, Any]]:
    return [(label.label, label.box) for label in labels(found)]


def test_rectangles_polygons_and_ellipses() -> None:
    (record,) = records(read(SAMPLES["via"]))
    nut, bolt, washer = record.labels
    assert record.image == "a.jpg"
    assert nut == RawLabel("nut", (10, 20, 210, 170), "a.jpg52718.regions[0]")
    assert (bolt.box, bolt.polygons) == ((1, 2, 20, 20.5), ((1, 2, 20, 2, 10, 20.5),))
    assert washer.box == pytest.approx((25, 17.5, 35, 22.5))
    assert len(washer.polygons[0]) == 128


def test_circles_and_ellipses_that_are_turned() -> None:
    circle = region({"name": "circle", "cx": 10, "cy": 20, "r": 5}, label="nut")
    turned = region({"name": "ellipse", "cx": 10, "cy": 20, "rx": 5, "ry": 2, "theta": math.pi / 2}, label="nut")
    without = region({"name": "ellipse", "cx": 10, "cy": 20, "rx": 5, "ry": 2}, label="nut")
    boxes = [label.box for label in labels(one(circle, turned, without))]
    assert boxes == [pytest.approx(box) for box in ((5, 15, 15, 25), (8, 15, 12, 25), (5, 18, 15, 22))]


def test_a_project_and_the_first_version_with_regions_by_number() -> None:
    old = image(fileref="", base64_img_data="") | {"regions": {"0": region(type="nut"), "1": region(type="bolt")}}
    project = {"_via_settings": {"ui": {}}, "_via_img_metadata": {"a.jpg9": old}, "_via_image_id_list": ["a.jpg9"]}
    for document in ({"a.jpg9": old}, project):
        assert said(read(json.dumps(document).encode(), expect="via")) == [("nut", BOX), ("bolt", BOX)]


def test_an_image_without_regions_and_class_stays_unlabelled() -> None:
    assert one() == []
    assert one(file_attributes={"caption": "a belt"}) == []


def test_attributes_of_the_file_are_classes_of_the_image_where_they_are_named_so() -> None:
    assert said(one(file_attributes={"caption": "a belt", "Label": "rusty"})) == [("rusty", None)]
    assert said(one(file_attributes={"class": {"rusty": True, "old": True, "new": False}})) == [
        ("rusty", None),
        ("old", None),
    ]


def test_the_class_is_the_attribute_that_is_named_so_else_the_only_one() -> None:
    assert said(one(region(type="x", Class="nut"), region(colour="red", category="bolt"))) == [
        ("nut", BOX),
    ]
    assert said(one(region(part="nut"), region(part={"bolt": True, "rusty": True}))) == [
        ("nut", BOX),
        ("bolt", BOX),
        ("rusty", BOX),
    ]


@pytest.mark.parametrize(
    "attributes",
    [{}, {"name": "Plato", "type": "human"}, {"class": ""}, {"class": 3}, {"class": {}}, {"class": {"": True}}, None, []],
)  # fmt: skip
def test_a_region_whose_class_cannot_be_told_is_left_out(attributes: Any) -> None:
    found = one({"shape_attributes": RECT, "region_attributes": attributes}, region(part="nut"))
    assert problems(found) == [("class-invalid", "a.jpg9.regions[0]")]
    assert said(found) == [("nut", BOX)]


def test_the_only_attribute_must_be_the_same_in_the_whole_file() -> None:
    """Else what one region says in `type` and another in `colour` would be classes side by side."""
    document = {"a.jpg9": image(region(type="nut")), "b.jpg9": image(region(colour="red"), filename="b.jpg")}
    found = read(json.dumps(document).encode())
    assert problems(found) == [("class-invalid", "b.jpg9.regions[0]")]
    assert [(record.image, len(record.labels), record.broken) for record in records(found)] == [
        ("a.jpg", 1, 0),
        ("b.jpg", 0, 1),
    ]


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ({"name": "point", "cx": 1, "cy": 2}, "shape-unsupported"),
        ({"name": "polyline", "all_points_x": [1, 2], "all_points_y": [1, 2]}, "shape-unsupported"),
        ({}, "shape-unsupported"),
        (7, "shape-unsupported"),
        (RECT | {"x": "1"}, "box-invalid"),
        ({"name": "circle", "cx": 1, "cy": 2}, "box-invalid"),
        ({"name": "ellipse", "cx": 1, "cy": 2, "rx": 3, "ry": 1e300}, "box-invalid"),
        ({"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1, 2]}, "polygon-invalid"),
        ({"name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1, 2]}, "polygon-invalid"),
        ({"name": "polygon", "all_points_x": [1, 2, None], "all_points_y": [1, 2, 3]}, "polygon-invalid"),
    ],
)
def test_a_shape_that_is_not_read_is_told_and_makes_no_negative(shape: Any, code: str) -> None:
    found = one(region(shape, part="nut"))
    assert problems(found) == [(code, "a.jpg9.regions[0]")]
    assert [(record.labels, record.broken) for record in records(found)] == [((), 1)]


@pytest.mark.parametrize("bad", [7, {}, {"filename": "b.jpg"}, image(filename=None), image(regions=7)])
def test_a_member_that_is_no_image_is_told_and_the_others_are_kept(bad: Any) -> None:
    found = read(json.dumps({"a.jpg9": image(region(part="nut")), "b\u202e": bad}).encode())
    assert problems(found) == [("via-structure", "b\N{REPLACEMENT CHARACTER}")]
    assert said(found) == [("nut", BOX)]


def test_a_file_that_is_cut_off_says_nothing() -> None:
    found = read(SAMPLES["via"][:-1])
    assert [code for code, _ in problems(found)] == ["json-invalid"]
    assert not any(isinstance(each, ImageRecord) for each in found)


@given(loosely(VIA))
def test_any_json_gives_records_and_known_problems_only(document: Any) -> None:
    images = document if isinstance(document, dict) else {"x": document}
    sane(read(json.dumps({"0": image(), **images}).encode(), cut=100, expect="via"))


@given(damaged(SAMPLES["via"]))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data, cut=100))
