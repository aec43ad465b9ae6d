from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labels.label_studio import annotation_labels
from services.labels.label_studio_images import image_of
from services.labels.record import ImageRecord, RawLabel, Reading
from tests.support.label_documents import LABEL_STUDIO, SAMPLES
from tests.support.label_files import damaged, labels, loosely, problems, read, records, sane

RESULT: dict[str, Any] = LABEL_STUDIO[0]["annotations"][0]["result"][0]
PLACE = "[0].annotations[0].result[0]"


def task(*results: Any, **more: Any) -> dict[str, Any]:
    found = copy.deepcopy(LABEL_STUDIO[0]) | more
    found["annotations"][0]["result"] = list(results)
    return found


def export(*tasks: Any) -> list[Reading]:
    return read(json.dumps(tasks).encode(), cut=50, expect="label-studio")


def shape(kind: str = "", rotation: float = 0, **value: Any) -> dict[str, Any]:
    names = {} if not kind or kind in value else {kind: ["nut"]}
    return RESULT | {"type": kind, "value": {**value, **names, "rotation": rotation}}


def only(*results: Any) -> RawLabel:
    (found,) = labels(export(task(*results)))
    return found


def test_a_box_in_shares_of_the_image_and_its_name_before_the_upload() -> None:
    nut = RawLabel("nut", (0.25, 0.5, 0.75, 0.75), PLACE, shares=True)
    expected = ImageRecord("data/upload/4/a.jpg", "[0].annotations[0]", (nut,), 640, 480)
    assert export(*LABEL_STUDIO) == [expected]


def test_a_rotated_box_becomes_the_one_around_it() -> None:
    """The figures are those of a published export: 300 x 100 pixels at 200, 100, turned by 90°, is 100 x 300 beside it."""
    turned = shape("rectanglelabels", 90, x=20, y=20, width=30, height=20) | {
        "original_width": 1000,
        "original_height": 500,
    }
    found = export(task(turned))
    assert problems(found) == [("box-rotated", PLACE)]
    (label,) = labels(found)
    assert label.box == pytest.approx((0.1, 0.2, 0.2, 0.8))
    assert label.polygons[0] == pytest.approx((0.2, 0.2, 0.2, 0.8, 0.1, 0.8, 0.1, 0.2))
    assert records(found)[0].broken == 0


def test_a_rotated_box_needs_the_size_of_the_image() -> None:
    turned = shape("rectanglelabels", 45, x=20, y=20, width=30, height=20)
    del turned["original_height"]
    assert problems(export(task(turned))) == [("box-invalid", PLACE)]


def test_polygons() -> None:
    found = only(shape("polygonlabels", points=[[10, 20], [50, 20.5], [30, 60]]))
    assert found.polygons == ((0.1, 0.2, 0.5, 0.205, 0.3, 0.6),)
    assert found.box == (0.1, 0.2, 0.5, 0.6)


def test_ellipses() -> None:
    found = only(shape("ellipselabels", x=50, y=50, radiusX=10, radiusY=20))
    assert found.box == pytest.approx((0.4, 0.3, 0.6, 0.7))
    turned = only(shape("ellipselabels", 90, x=50, y=50, radiusX=7.5, radiusY=20))
    assert turned.box == pytest.approx((0.5 - 96 / 640, 0.5 - 48 / 480, 0.5 + 96 / 640, 0.5 + 48 / 480))


def test_choices_are_classes_of_the_image_but_not_those_of_a_shape() -> None:
    found = labels(export(task({"type": "choices", "value": {"choices": ["nut", "bolt"]}})))
    assert found == [RawLabel("nut", None, PLACE), RawLabel("bolt", None, PLACE)]
    of_shape = shape("choices", x=25, y=50, width=50, height=25)
    assert [label.label for label in labels(export(task(RESULT, of_shape)))] == ["nut"]


def test_shapes_with_separate_labels_count_once() -> None:
    bare = shape("", x=25, y=50, width=50, height=25) | {"type": "rectangle"}
    assert only(bare, shape("labels", x=25, y=50, width=50, height=25)).label == "nut"


def test_a_shape_that_was_given_no_class_is_told() -> None:
    bare = {"id": "x", "type": "rectangle", "value": {"x": 25, "y": 50, "width": 50, "height": 25}}
    choice = shape("choices", x=25, y=50, width=50, height=25) | {"id": "x"}
    assert problems(export(task(bare, choice, RESULT))) == [("class-invalid", PLACE)]


def test_a_shape_of_two_classes_is_two_labels() -> None:
    found = labels(export(task(shape("rectanglelabels", x=1, y=1, width=2, height=2, rectanglelabels=["nut", "bolt"]))))
    assert [label.label for label in found] == ["nut", "bolt"]
    assert found[0].box == found[1].box


def test_of_several_annotations_the_newest_counts_and_cancelled_ones_do_not() -> None:
    def annotation(name: str, time: Any, **more: Any) -> dict[str, Any]:
        result = shape("rectanglelabels", x=1, y=1, width=2, height=2, rectanglelabels=[name])
        return {"result": [result], "created_at": "2020-01-01T00:00:00Z", "updated_at": time, **more}

    annotations = [
        annotation("old", "2021-03-09T22:16:08Z"),
        annotation("newest", "2021-03-09T22:16:08.5Z"),
        annotation("odd", "yesterday"),
        annotation("none", None),
        annotation("skipped", "2022-03-09T22:16:08Z", was_cancelled=True),
    ]
    found = export(LABEL_STUDIO[0] | {"annotations": annotations})
    assert [(label.label, label.place) for label in labels(found)] == [("newest", "[0].annotations[1].result[0]")]


def test_an_empty_annotation_is_a_negative_and_none_is_no_label() -> None:
    empty, skipped = task(), task()
    skipped["annotations"][0]["was_cancelled"] = True
    nobody = task() | {"annotations": []}
    bare = {"data": {"image": "a.jpg"}}
    assert [(r.image, r.labels, r.broken) for r in records(export(empty))] == [("data/upload/4/a.jpg", (), 0)]
    assert export(skipped, nobody, bare) == []


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (7, "label-studio-structure"),
        ({"type": "rectanglelabels"}, "label-studio-structure"),
        (shape("rectanglelabels", x=1, y=2, width=3), "box-invalid"),
        (shape("rectanglelabels", x=1, y=2, width="3", height=4), "box-invalid"),
        (shape("rectanglelabels", x=1, y=2, width=1e300, height=4), "box-invalid"),
        (shape("rectanglelabels", rotation="x", x=1, y=2, width=3, height=4), "box-invalid"),  # type: ignore[arg-type]
        (shape("rectanglelabels", x=1, y=2, width=3, height=4, rectanglelabels=[]), "class-invalid"),
        (shape("rectanglelabels", x=1, y=2, width=3, height=4, rectanglelabels=[""]), "class-invalid"),
        (shape("polygonlabels", points=[[1, 2], [3]]), "polygon-invalid"),
        (shape("polygonlabels", points="1,2"), "polygon-invalid"),
        (shape("brushlabels", format="rle", rle=[0, 1]), "shape-unsupported"),
        (shape("keypointlabels", x=1, y=2, width=0.3), "shape-unsupported"),
        (shape("taxonomy", taxonomy=[["a", "b"]]), "shape-unsupported"),
        (shape("rectanglelabels", x=1, y=2, width=3, height=4) | {"image_rotation": 90}, "image-turned"),
    ],
)
def test_one_bad_result_is_quarantined_and_the_rest_kept(result: Any, code: str) -> None:
    found = export(task(result, RESULT))
    assert problems(found) == [(code, PLACE)]
    assert [(r.broken, [label.place for label in r.labels]) for r in records(found)] == [(1, [PLACE[:-2] + "1]"])]


@pytest.mark.parametrize("kind", ["textarea", "rating", "number", "relation"])
def test_what_is_no_label_is_passed_over(kind: str) -> None:
    assert problems(export(task(RESULT | {"type": kind, "value": {"text": ["x"]}}, RESULT))) == []


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        (7, "[0]"),
        (task() | {"data": {"text": "good"}}, "[0]"),
        (task() | {"data": ["a.jpg"]}, "[0]"),
        (task() | {"annotations": [4, 5]}, "[0].annotations"),
        (task() | {"annotations": {}}, "[0].annotations"),
        (task() | {"annotations": [{"id": 4}]}, "[0].annotations[0].result"),
    ],
)
def test_a_bad_task_is_left_out_and_the_others_kept(bad: Any, place: str) -> None:
    found = read(json.dumps([bad, *LABEL_STUDIO]).encode(), cut=1000)
    if not isinstance(bad, int):
        assert problems(found) == [("label-studio-structure", place)]
        assert len(records(found)) == 1


@pytest.mark.parametrize(
    ("data", "image"),
    [
        ({"image": "/data/upload/624cb493-a-b.jpg"}, "data/upload/a-b.jpg"),
        ({"image": "https://ls.example.com/data/upload/12/624cb493-a%20b.jpg"}, "data/upload/12/a b.jpg"),
        ({"image": "/data/upload/12/624cb493-%C3%BC.jpg"}, "data/upload/12/ü.jpg"),
        ({"image": "https://ls.example.com/data/upload/12/624cb493-%2541.jpg"}, "data/upload/12/%41.jpg"),
        ({"image": "624cb493-a.jpg"}, "624cb493-a.jpg"),
        ({"image": "/data/local-files/?d=belt/a%20b.jpg"}, "belt/a b.jpg"),
        ({"image": "/data/belt/a.jpg?token=x.png"}, "data/belt/a.jpg"),
        ({"image": "s3://bucket/belt/a.jpg"}, "bucket/belt/a.jpg"),
        ({"image": "https://x.blob.core.windows.net/data/loop/images/a.jpg?sv=2&sig=x"}, "data/loop/images/a.jpg"),
        ({"note": "see b.txt", "ocr": "belt/A.JPG", "image": "c"}, "belt/A.JPG"),
        ({"thumbnail": "small.jpg", "image": "c.png"}, "c.png"),
        ({"n": 3, "image": "belt/no-extension"}, "belt/no-extension"),
        ({"text": "nothing"}, None),
        ({"image": ["a.jpg"]}, None),
        (None, None),
    ],
)
def test_the_image_of_a_task(data: Any, image: str | None) -> None:
    assert image_of(data) == image


def test_a_single_task_and_an_annotation_with_its_task() -> None:
    whole = LABEL_STUDIO[0]
    stored = whole["annotations"][0] | {"task": {"id": 9, "data": whole["data"]}}
    for document in (whole, stored):
        found = read(json.dumps(document).encode(), expect="label-studio")
        assert [label.label for label in labels(found)] == ["nut"]


def test_json_min_takes_the_newest_annotation_of_each_task() -> None:
    box = {**RESULT["value"], "original_width": 640, "original_height": 480}
    entry = {"image": "/data/upload/4/624cb493-a.jpg", "id": 9, "label": [box], "annotator": 1, "annotation_id": 4}
    bolt = entry | {"label": [box | {"rectanglelabels": ["bolt"]}]}
    other = {"image": "b.jpg", "id": 10, "choice": "nut", "annotator": 1, "annotation_id": 6}
    many = {"image": "c.jpg", "id": 11, "kinds": {"choices": ["nut", "bolt"]}, "annotation_id": 7}
    empty = {"image": "d.jpg", "id": 12, "annotation_id": 8}
    found = export(
        entry | {"updated_at": "2021-03-09T22:16:08Z"},
        bolt | {"updated_at": "2021-03-09T22:16:07Z"},
        other,
        many,
        empty,
    )
    nut = RawLabel("nut", (0.25, 0.5, 0.75, 0.75), "[0].label[0]", shares=True)
    assert records(found)[0] == ImageRecord("data/upload/4/a.jpg", "[0]", (nut,), 640, 480)
    assert [[label.label for label in r.labels] for r in records(found)] == [["nut"], ["nut"], ["nut", "bolt"]]
    assert problems(found) == []


@pytest.mark.parametrize("cut", [2, 100, 900, -1])
def test_half_an_export_is_quarantined_as_a_whole(cut: int) -> None:
    data = json.dumps([*LABEL_STUDIO, *LABEL_STUDIO]).encode()[:cut]
    found = read(data)
    assert [code for code, _ in problems(found)] == ["json-invalid"] or data == b"[{"
    assert records(found) == []


def test_the_labels_of_an_annotation_by_itself() -> None:
    annotation = LABEL_STUDIO[0]["annotations"][0]
    assert [*annotation_labels(annotation)] == [
        RawLabel("nut", (0.25, 0.5, 0.75, 0.75), "annotation.result[0]", shares=True)
    ]
    assert [*annotation_labels({"result": None})] == []


@given(st.lists(loosely(LABEL_STUDIO[0]), min_size=1, max_size=2))
def test_any_tasks_give_records_and_known_problems_only(tasks: list[Any]) -> None:
    sane(read(json.dumps([{"data": {}}, *tasks]).encode(), cut=1000, expect="label-studio"))


POLYGON = shape("polygonlabels", points=[[10, 20], [50, 20.5]])


@given(
    st.lists(
        loosely(RESULT | {"value": RESULT["value"] | POLYGON["value"] | {"radiusX": 3, "radiusY": 90}}), max_size=3
    )
)
def test_any_results_give_records_and_known_problems_only(results: list[Any]) -> None:
    sane(read(json.dumps([task(*results)]).encode(), cut=1000))


@given(damaged(SAMPLES["label-studio"]))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data, cut=1000))
