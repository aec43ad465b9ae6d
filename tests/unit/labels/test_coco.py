"""COCO, through the way every label file is opened."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings

from services.labels.options import DEFAULT, Options
from services.labels.record import ImageRecord, RawLabel, Reading
from tests.support.label_files import damaged, loosely, only_problem, problems, read, records, sane

COCO: dict[str, Any] = {
    "info": {"year": 2026},
    "images": [
        {"id": 7, "file_name": "train/a.jpg", "width": 640, "height": 480},
        {"id": 8, "file_name": "b.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40], "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 4, "bbox": [0.5, 1.5, 3, 4], "iscrowd": 1},
    ],
    "categories": [{"id": 3, "name": "nut"}, {"id": 4, "name": " bolt "}],
}


def coco(options: Options = DEFAULT, **changes: Any) -> list[Reading]:
    return read(json.dumps(copy.deepcopy(COCO) | changes).encode(), options=options)


def codes(found: list[Reading]) -> list[str]:
    return [code for code, _ in problems(found)]


NUT = RawLabel("nut", (10, 20, 40, 60), "annotations[0]")
BOLT = RawLabel("bolt", (0.5, 1.5, 3.5, 5.5), "annotations[1]", is_crowd=True)
A = ImageRecord("train/a.jpg", "images[0]", (NUT, BOLT), 640, 480)
B = ImageRecord("b.jpg", "images[1]")


def test_coco() -> None:
    assert coco() == [A, B]


def test_coco_s_captions_are_refused_once() -> None:
    document = {
        "images": COCO["images"],
        "annotations": [{"id": n, "image_id": 7, "caption": "A nut"} for n in range(9)],
    }
    assert codes(read(json.dumps(document).encode())) == ["coco-structure"]


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("https://x.blob.core.windows.net/c/a%20b.jpg?sv=2020&sig=%3D", "c/a b.jpg"),
        ("s3://bucket/a%20b.jpg", "bucket/a%20b.jpg"),
        ("/home/me/a?b.jpg", "/home/me/a?b.jpg"),
    ],
)
def test_coco_images_may_be_named_by_addresses(said: str, name: str) -> None:
    assert records(coco(images=[{"id": 7, "file_name": said}]))[0].image == name


def test_coco_members_may_come_in_any_order() -> None:
    for order in (reversed(COCO), sorted(COCO), ["annotations", "categories", "images"]):
        found = read(json.dumps({name: COCO[name] for name in order}).encode())
        assert sorted(records(found), key=lambda r: r.place) == [A, B]
        assert codes(found) == []


def test_coco_ids_may_be_texts_and_entries_may_have_more_members() -> None:
    found = coco(
        images=[{"id": "one", "file_name": "a.jpg", "flickr_url": "x", "coco_url": None}],
        annotations=[{"image_id": "one", "category_id": "c", "bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 3]]}],
        categories=[{"id": "c", "name": "nut", "supercategory": "part"}],
    )
    assert found == [ImageRecord("a.jpg", "images[0]", (RawLabel("nut", (1, 2, 4, 6), "annotations[0]"),))]


@pytest.mark.parametrize(
    ("annotation", "code", "place"),
    [
        ({"image_id": 7, "category_id": 3, "bbox": 0}, "box-invalid", "annotations[0].bbox"),
        ({"image_id": 7, "category_id": 3, "bbox": ""}, "box-invalid", "annotations[0].bbox"),
        ({"image_id": 7, "category_id": 3, "bbox": [1, 2, 3]}, "box-invalid", "annotations[0].bbox"),
        ({"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, "4"]}, "box-invalid", "annotations[0].bbox"),
        ({"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, True]}, "box-invalid", "annotations[0].bbox"),
        ({"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 10**400]}, "box-invalid", "annotations[0].bbox"),
        ({"image_id": 7, "category_id": 3, "bbox": [1.7e308, 2, 1.7e308, 4]}, "box-invalid", "annotations[0].bbox"),
        (
            {"image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4]},
            "coco-annotation-invalid",
            "annotations[0].category_id",
        ),
        ({"image_id": 7, "bbox": [1, 2, 3, 4]}, "coco-annotation-invalid", "annotations[0]"),
        (
            {"image_id": 99, "category_id": 3, "bbox": [1, 2, 3, 4]},
            "coco-annotation-invalid",
            "annotations[0].image_id",
        ),
        (["no object"], "coco-annotation-invalid", "annotations[0]"),
        (None, "coco-annotation-invalid", "annotations[0]"),
    ],
)
def test_one_bad_annotation_is_quarantined_and_the_rest_kept(annotation: Any, code: str, place: str) -> None:
    found = coco(annotations=[annotation, COCO["annotations"][1]])
    problem = only_problem(found)
    assert (problem.code, problem.place, problem.file) == (code, place, "labels/x")
    assert problem.expected
    assert problem.found
    assert problem.help
    assert BOLT in records(found)[0].labels


def test_an_image_whose_annotations_are_all_bad_is_no_negative() -> None:
    found = coco(
        annotations=[
            {"image_id": 7, "category_id": 3, "bbox": 1},
            {"image_id": 8, "category_id": 9, "bbox": [1, 2, 3, 4]},
        ]
    )
    assert [(r.image, r.labels, r.broken) for r in records(found)] == [("train/a.jpg", (), 1), ("b.jpg", (), 1)]


@pytest.mark.parametrize("boxless", [{}, {"bbox": None}, {"bbox": []}, {"bbox": [], "segmentation": []}])
def test_an_annotation_without_box_and_outline_is_of_the_whole_image(boxless: dict[str, Any]) -> None:
    """As our own export of classification has them, and Azure ML's labelling; no unit is to be proven then."""
    annotations = [{"image_id": image, "category_id": 3, **boxless} for image in (7, 8, 8)]
    found = records(coco(annotations=annotations))
    assert [[(one.label, one.box, one.place) for one in r.labels] for r in found] == [
        [("nut", None, "annotations[0]")],
        [("nut", None, "annotations[1]"), ("nut", None, "annotations[2]")],
    ]


def test_boxes_beside_annotations_without_one_keep_their_unit() -> None:
    whole, shares = {"image_id": 7, "category_id": 4}, {"image_id": 7, "category_id": 3, "bbox": [0.1, 0.2, 0.3, 0.5]}
    (record, _) = records(coco(annotations=[whole, shares]))
    assert [(one.box is None, one.shares) for one in record.labels] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ({"id": 9}, "file_name None"),
        ({"file_name": "x.jpg"}, "id None"),
        ({"id": 7, "file_name": "x.jpg"}, "7"),
        (3, "id"),
    ],
)
def test_a_bad_image_entry(image: Any, found: str) -> None:
    readings = coco(images=[*COCO["images"], image])
    problem = only_problem(readings)
    assert (problem.code, problem.place[:9]) == ("coco-image-invalid", "images[2]")
    assert found in problem.found
    assert records(readings) == [A, B]


@pytest.mark.parametrize("name", [None, "", "  ", 3, "a\nb", "a\u202eb", "x" * 257, "\ud800"])
def test_a_class_needs_a_name_that_can_be_shown(name: Any) -> None:
    found = coco(categories=[COCO["categories"][0], {"id": 4, "name": name}])
    assert codes(found) == ["class-invalid", "coco-annotation-invalid"]
    assert records(found)[0].labels == (NUT,)


def test_two_categories_of_one_id() -> None:
    assert only_problem(coco(categories=[*COCO["categories"], {"id": 3, "name": "x"}])).code == "coco-category-invalid"


@pytest.mark.parametrize("missing", ["images", "annotations", "categories"])
def test_a_file_without_the_three_lists_is_no_coco(missing: str) -> None:
    document = {name: value for name, value in COCO.items() if name != missing}
    problem = only_problem(read(json.dumps(document).encode()))
    assert problem.code == "coco-structure"
    assert missing in problem.found


SHARES = [{"image_id": 7, "category_id": 3, "bbox": [0.1, 0.2, 0.3, 0.5]}]


def test_boxes_in_shares_are_proven_by_fractions_on_images_of_known_size() -> None:
    [label] = records(coco(annotations=SHARES))[0].labels
    assert label == RawLabel("nut", (0.1, 0.2, 0.4, 0.7), "annotations[0]", shares=True)


@pytest.mark.parametrize(
    ("image", "box"),
    [(8, [0.1, 0.2, 0.3, 0.5]), (7, [0, 0, 1, 1]), (9, [0.1, 0.2, 0.3, 0.5])],
    ids=["size unknown", "no fractions", "an image of one pixel"],
)
def test_what_may_be_shares_or_pixels_is_refused_with_what_settles_it(image: int, box: list[float]) -> None:
    changes: dict[str, Any] = {
        "images": [*COCO["images"], {"id": 9, "file_name": "c.png", "width": 1, "height": 1}],
        "annotations": [{"image_id": image, "category_id": 3, "bbox": box}],
    }
    trouble = only_problem(coco(**changes))
    assert (trouble.code, trouble.severity) == ("coordinates-unclear", "error")
    assert "labels: {coordinates: normalised}" in trouble.expected
    for declared, shares in (("pixels", False), ("normalised", True)):
        found = [label for r in records(coco(Options(declared), **changes)) for label in r.labels]  # type: ignore[arg-type]
        assert [label.shares for label in found] == [shares]


def test_one_number_above_one_makes_all_boxes_pixels() -> None:
    found = coco(annotations=[*SHARES, {"image_id": 8, "category_id": 3, "bbox": [0.5, 0.5, 1.5, 1]}])
    assert [label.shares for r in records(found) for label in r.labels] == [False, False]


OUTLINES = Options(polygons=True)
TRIANGLE = (1.0, 2.0, 5.0, 2.0, 5.0, 8.5)
MASK = {"size": [480, 640], "counts": [481, 2, 478, 2, 640 * 480 - 963]}


def outlined(segmentation: Any, options: Options = OUTLINES, **changes: Any) -> list[Reading]:
    said = {"image_id": 7, "category_id": 3, "segmentation": segmentation, "iscrowd": 1}
    return coco(options, annotations=[{**said, **changes}, COCO["annotations"][1]])


def first(found: list[Reading]) -> RawLabel:
    assert codes(found) == []
    return records(found)[0].labels[0]


def test_outlines_are_kept_where_they_are_learnt_from() -> None:
    box = [0.0, 2.0, 5.0, 6.5]
    label = first(outlined([list(TRIANGLE), list(TRIANGLE)], bbox=box))
    assert label == RawLabel("nut", (0, 2, 5, 8.5), "annotations[0]", True, (TRIANGLE, TRIANGLE))
    assert first(outlined([list(TRIANGLE)], DEFAULT, bbox=box)).polygons == ()
    assert first(outlined(list(TRIANGLE), bbox=box)).polygons == (TRIANGLE,)
    assert first(outlined([], bbox=box)).polygons == ()


def test_an_annotation_without_a_box_has_that_of_its_outline() -> None:
    assert first(outlined([list(TRIANGLE)], DEFAULT)).box == (1, 2, 5, 8.5)
    assert first(outlined(MASK, DEFAULT)).box == (1, 1, 3, 3)


def test_a_mask_is_outlined_and_held_against_the_size_of_the_image() -> None:
    label = first(outlined(MASK, bbox=[1, 1, 2, 2]))
    assert label.box == (1, 1, 3, 3)
    assert label.is_crowd
    [outline] = label.polygons
    assert sorted(zip(outline[::2], outline[1::2], strict=True)) == [(1, 1), (1, 3), (3, 1), (3, 3)]
    found = outlined({"size": [2, 2], "counts": [0, 4]}, bbox=[0, 0, 2, 2])
    assert (only_problem(found).code, records(found)[0].broken) == ("polygon-invalid", 1)


def test_outlines_in_shares_and_masks_in_pixels_of_one_file() -> None:
    shares = [{**SHARES[0], "segmentation": [[0.1, 0.2, 0.4, 0.2, 0.4, 0.7]]}, {**SHARES[0], "segmentation": MASK}]
    found = records(coco(OUTLINES, annotations=shares))[0].labels
    assert [(label.shares, label.box) for label in found] == [(True, (0.1, 0.2, 0.4, 0.7)), (False, (1, 1, 3, 3))]


@pytest.mark.parametrize("bad", [[["1", 2, 3, 4, 5, 6]], [3], [[1, 2], 3], "text", {"counts": [1]}, [[1, None]], 7])
def test_a_bad_outline_is_quarantined_and_the_rest_kept(bad: Any) -> None:
    found = outlined(bad, bbox=[1, 1, 2, 2])
    if bad == [3]:
        assert first(found).polygons == ((3.0,),)  # held against the image, it has no three points
        return
    assert (only_problem(found).code, only_problem(found).place) == ("polygon-invalid", "annotations[0].segmentation")
    assert (records(found)[0].labels, records(found)[0].broken) == ((BOLT,), 1)


def test_a_list_of_images_labels_nothing() -> None:
    assert codes(coco(annotations=[])) == ["coco-no-annotations"]


@pytest.mark.parametrize("cut", [1, 100, 300])
def test_half_a_file_is_quarantined_as_a_whole(cut: int) -> None:
    data = json.dumps(COCO).encode()
    problem = only_problem(read(data[:cut]))
    assert problem.code == "json-invalid"


OUTLINED = [
    {"id": 3, "image_id": 8, "category_id": 3, "segmentation": [[1, 2, 30, 2, 20, 30.5]]},
    {"id": 4, "image_id": 8, "category_id": 4, "segmentation": {"size": [4, 4], "counts": [5, 2, 2, 2, 5]}},
]


@settings(max_examples=200)
@given(loosely(COCO | {"annotations": [*COCO["annotations"], *OUTLINED]}))
def test_any_json_gives_records_and_known_problems_only(document: Any) -> None:
    sane(read(json.dumps(document).encode()))
    sane(read(json.dumps(document).encode(), options=OUTLINES))


@settings(max_examples=200)
@given(damaged(json.dumps(COCO).encode()))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data))
