from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labels.annotation import Annotation, Box, Polygon
from services.labels.check import Rules, check, without_duplicates
from services.labels.frame import Frame
from services.labels.record import ImageRecord, RawLabel
from services.labels.values import bounds
from services.loop_config import Task
from services.state import Problem

DETECTION = Rules("object_detection")
FRAME = Frame(200, 100)


def run(
    *boxes: Box | None, frame: Frame = FRAME, rules: Rules = DETECTION, size: tuple[int, int] = (0, 0)
) -> list[Annotation | Problem]:
    labels = tuple(RawLabel("nut", box, f"annotations[{i}]") for i, box in enumerate(boxes))
    return list(check("l.json", ImageRecord("a.jpg", "images[0]", labels, *size), frame, rules))


def codes(found: list[Annotation | Problem]) -> list[str]:
    return [f.code for f in found if isinstance(f, Problem)]


def test_a_box_in_shares_of_the_image() -> None:
    assert run((20, 10, 100, 100), size=(200, 100)) == [Annotation("nut", (0.1, 0.1, 0.5, 1.0))]


@pytest.mark.parametrize("box", [(-1.0, 0, 50, 50), (0, -0.5, 50, 50), (0, 0, 201, 50), (0, 0, 50, 100.9)])
def test_a_pixel_beyond_is_cut_with_a_note(box: Box) -> None:
    found = run(box)
    assert codes(found) == ["box-clamped"]
    assert isinstance(found[1], Annotation)


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ((-1.1, 0, 50, 50), "box-outside"),
        ((0, 0, 50, 102), "box-outside"),
        ((300, 200, 400, 300), "box-outside"),
        ((10, 10, 10, 20), "box-empty"),
        ((20, 10, 10, 20), "box-empty"),
        ((10, 20, 20, 10), "box-empty"),
        ((200, 10, 201, 20), "box-empty"),
        ((0, 0, math.inf, 10), "box-invalid"),
    ],
)
def test_a_bad_box_is_quarantined_and_the_rest_kept(box: Box, code: str) -> None:
    found = run(box, (20, 10, 100, 100))
    assert code in codes(found)
    assert [f for f in found if isinstance(f, Annotation)] == [Annotation("nut", (0.1, 0.1, 0.5, 1.0))]


def test_a_label_of_another_image_size_is_refused_as_a_whole() -> None:
    found = run((20, 10, 100, 100), size=(400, 200))
    assert codes(found) == ["size-mismatch"]
    assert "200 x 100" in found[0].expected  # type: ignore[union-attr]
    assert len(found) == 1


def test_a_rotated_photograph_is_labelled_as_displayed_and_that_is_told() -> None:
    turned = Frame(200, 100, rotated=True)
    assert run((20, 10, 100, 100), frame=turned, size=(200, 100)) == [Annotation("nut", (0.1, 0.1, 0.5, 1.0))]
    found = run((20, 10, 100, 100), frame=turned, size=(100, 200))
    assert codes(found) == ["exif-rotation"]
    assert found[1:] == [Annotation("nut", (0.1, 0.1, 0.5, 1.0))]
    assert codes(run((20, 10, 100, 100), size=(100, 200))) == ["size-mismatch"]


def test_an_unknown_class() -> None:
    rules = Rules("object_detection", frozenset({"bolt"}))
    found = run((20, 10, 100, 100), rules=rules)
    assert codes(found) == ["class-unknown"]
    assert "bolt" in found[0].expected  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("task", "box", "good"),
    [
        ("object_detection", None, False),
        ("image_classification", None, True),
        ("image_classification_multilabel", None, True),
        ("image_classification", (1, 1, 2, 2), False),
        ("image_classification", (0, 0, FRAME.width, FRAME.height), True),
        ("image_classification_multilabel", (0.4, -0.4, FRAME.width + 0.9, FRAME.height), True),
        ("image_classification", (0, 0, FRAME.width - 1.1, FRAME.height), False),
        ("image_classification", (0, 0, 0, 0), True),
        ("object_detection", (0, 0, FRAME.width, FRAME.height), True),
        ("instance_segmentation", (1, 1, 2, 2), False),
        ("instance_segmentation", None, False),
    ],
)
def test_the_kind_of_label_fits_the_task(task: str, box: Box | None, good: bool) -> None:
    found = run(box, rules=Rules(task))  # type: ignore[arg-type]
    assert codes(found) == ([] if good else ["label-kind"])


@pytest.mark.parametrize(
    ("task", "one", "other", "code"),
    [
        ("object_detection", (1, 1, 9, 9), None, "label-beside"),
        ("image_classification", None, (1, 1, 9, 9), "label-beside"),
        ("instance_segmentation", None, (1, 1, 9, 9), "label-kind"),
    ],
)
def test_a_class_of_the_image_beside_its_boxes_is_a_note(
    task: Task, one: Box | None, other: Box | None, code: str
) -> None:
    labels = (RawLabel("nut", one, "1"), RawLabel("not among the classes", other, "2"))
    record = ImageRecord("a.jpg", "", labels)
    found = list(check("l", record, FRAME, Rules(task)))
    assert codes(found)[-1] == code
    with_classes = list(check("l", record, FRAME, Rules(task, frozenset({"nut"}))))
    assert codes(with_classes)[-1] == ("label-beside" if code == "label-beside" else "class-unknown")


def test_equal_boxes_are_one_and_told() -> None:
    one, two = run((20, 10, 100, 100), (20, 10, 100, 50))
    found = list(without_duplicates([("l", one), ("l", two), ("l", one)]))
    assert found[:2] == [one, two]
    assert codes(found) == ["box-duplicate"]


SEGMENTATION = Rules("instance_segmentation")
SQUARE = (20.0, 10.0, 100.0, 10.0, 100.0, 50.0, 20.0, 50.0)
IN_SHARES = (0.1, 0.1, 0.5, 0.1, 0.5, 0.5, 0.1, 0.5)


def outlined(
    *polygons: Polygon, shares: bool = False, rules: Rules = SEGMENTATION, crowd: bool = False
) -> list[Annotation | Problem]:
    label = RawLabel("nut", bounds(polygons), "annotations[0]", crowd, polygons, shares)
    return list(check("l.json", ImageRecord("a.jpg", "images[0]", (label,)), FRAME, rules))


def test_outlines_in_shares_of_the_image_with_the_box_around_them() -> None:
    wanted = Annotation("nut", (0.1, 0.1, 0.5, 0.5), is_crowd=True, polygons=(IN_SHARES,))
    assert outlined(SQUARE, crowd=True) == [wanted]
    assert outlined(IN_SHARES, shares=True, crowd=True) == [wanted]


def test_the_box_of_an_outline_will_do_for_detection_but_not_the_other_way() -> None:
    assert outlined(SQUARE, rules=DETECTION) == [Annotation("nut", (0.1, 0.1, 0.5, 0.5))]
    assert outlined(IN_SHARES, shares=True, rules=DETECTION) == [Annotation("nut", (0.1, 0.1, 0.5, 0.5))]
    found = run((20, 10, 100, 100), rules=SEGMENTATION)[0]
    assert isinstance(found, Problem)
    assert (found.expected, found.found) == ("a polygon, for task instance_segmentation", "a box")


def test_boxes_in_shares_are_held_to_the_image_too() -> None:
    def shared(*box: float) -> list[Annotation | Problem]:
        label = RawLabel("nut", (box[0], box[1], box[2], box[3]), "line 1", shares=True)
        return list(check("l.txt", ImageRecord("", "", (label,)), FRAME, DETECTION))

    assert shared(0.1, 0.1, 0.5, 0.5) == [Annotation("nut", (0.1, 0.1, 0.5, 0.5))]
    assert codes(shared(0.1, 0.1, 0.5, 1.01)) == ["box-clamped"]
    assert shared(-1e-6, 0, 1, 1.00001) == [Annotation("nut", (0, 0, 1, 1))], "rounding is not worth a note"
    assert codes(shared(0.1, 0.1, 0.5, 1.02)) == ["box-outside"]
    assert codes(shared(0.1, 0.1, 1e308, 1e308)) == ["box-invalid"]


@pytest.mark.parametrize(
    ("polygon", "code"),
    [
        ((1, 1, 2, 2), "polygon-invalid"),
        ((1, 1, 2, 2, 3, 1, 4), "polygon-invalid"),
        ((), "polygon-invalid"),
        ((1, 1, 2, 2, math.nan, 1), "polygon-invalid"),
        ((1, 1, 2, 2, math.inf, 1), "polygon-invalid"),
        ((1, 1, 10, 10, 20, 20.0), "polygon-empty"),
        ((1, 1, 10, 1, 20, 1), "polygon-empty"),
        ((200, 1, 201, 1, 201, 9), "polygon-empty"),
        ((1, 1, 202, 1, 9, 9), "polygon-outside"),
        ((1, -1.5, 20, 1, 9, 9), "polygon-outside"),
    ],
)
def test_a_bad_outline_is_quarantined(polygon: Polygon, code: str) -> None:
    found = outlined(polygon)
    assert code in codes(found)
    assert len(codes(found)) == len(found)
    both = outlined(SQUARE, polygon)
    assert [f.place for f in both if isinstance(f, Problem)][-1:] == ["annotations[0].polygon[1]"]
    assert any(isinstance(f, Annotation) for f in both) == (code == "polygon-empty")


def test_an_outline_a_pixel_beyond_is_cut_and_one_that_crosses_itself_has_an_area() -> None:
    found = outlined((0, 0, 201, 0, 201, 100, 0, 100))
    assert codes(found) == ["polygon-clamped"]
    assert found[1:] == [Annotation("nut", (0, 0, 1, 1), polygons=((0, 0, 1, 0, 1, 1, 0, 1),))]
    assert codes(outlined((0, 0, 100, 100, 100, 0, 0, 100))) == []


numbers = st.floats(-3, 204) | st.floats()


@given(st.lists(st.lists(numbers, max_size=9).map(tuple), min_size=1, max_size=3))
def test_whatever_comes_in_an_outline_that_comes_out_is_within_the_image(polygons: list[Polygon]) -> None:
    for each in outlined(*polygons):
        if isinstance(each, Annotation):
            assert each.box == bounds(each.polygons)
            assert all(0 <= n <= 1 for polygon in each.polygons for n in polygon)
            assert each.box[0] < each.box[2]
            assert each.box[1] < each.box[3]


@given(st.tuples(numbers, numbers, numbers, numbers))
def test_whatever_comes_in_a_box_that_comes_out_is_within_the_image(box: Box) -> None:
    for each in run(box):
        if isinstance(each, Annotation):
            assert each.box is not None
            left, top, right, bottom = each.box
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
            assert max(abs(left * 200 - box[0]), abs(bottom * 100 - box[3])) <= 1.001
