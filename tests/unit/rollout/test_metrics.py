"""Metrics against numbers worked out by hand. COCO's precision is read at 101 recalls from 0.00 to 1.00."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.datasets.reading import HoldoutImage
from services.labels.annotation import Annotation, Box
from services.rollout.answers import Found
from services.rollout.metrics import Measures, measure

CLASSES = ["bolt", "nut"]
LEFT: Box = (0.0, 0.0, 0.5, 0.5)
RIGHT: Box = (0.5, 0.5, 1.0, 1.0)


def image(name: str, *annotations: Annotation, size: tuple[int, int] = (100, 100)) -> HoldoutImage:
    return HoldoutImage(name, *size, annotations)


def detection(images: list[HoldoutImage], answers: list[list[Found]], classes: list[str] | None = None) -> Measures:
    return measure("object_detection", classes or CLASSES, images, answers)


def both(value: float, half: float | None = None) -> dict[str, Any]:
    at_half = value if half is None else half
    return {"mean_average_precision": pytest.approx(value), "map50": pytest.approx(at_half)}


def test_everything_found_is_one() -> None:
    images = [image("a", Annotation("nut", LEFT), Annotation("bolt", RIGHT)), image("b", Annotation("nut", RIGHT))]
    answers = [[Found("nut", 0.9, LEFT), Found("bolt", 0.8, RIGHT)], [Found("nut", 0.3, RIGHT)]]
    found = detection(images, answers)
    assert found.overall == both(1.0)
    assert found.per_class == {"bolt": both(1.0), "nut": both(1.0)}


def test_nothing_found_is_zero() -> None:
    assert detection([image("a", Annotation("nut", LEFT))], [[]]).overall == both(0.0)


def test_one_of_two_found_is_the_half_of_the_recalls() -> None:
    images = [image("a", Annotation("nut", LEFT)), image("b", Annotation("nut", LEFT))]
    found = detection(images, [[Found("nut", 0.9, LEFT)], [Found("nut", 0.8, RIGHT)]])
    assert found.overall == both(51 / 101)  # precision 1 at the recalls 0.00 to 0.50


def test_a_mistake_of_higher_score_halves_the_precision() -> None:
    images = [image("a", Annotation("nut", LEFT))]
    found = detection(images, [[Found("nut", 0.9, RIGHT), Found("nut", 0.8, LEFT)]])
    assert found.overall == both(0.5)


def test_an_overlap_of_064_counts_at_three_of_ten_thresholds() -> None:
    images = [image("a", Annotation("nut", LEFT))]
    found = detection(images, [[Found("nut", 0.9, (0.0, 0.0, 0.5, 0.32))]])  # 50 x 32 of 50 x 50 pixels
    assert found.overall == both(0.3, 1.0)


def test_classes_count_alike_however_many_examples_they_have() -> None:
    images = [image("a", Annotation("nut", LEFT), Annotation("nut", RIGHT)), image("b", Annotation("bolt", LEFT))]
    found = detection(images, [[Found("nut", 0.9, LEFT), Found("nut", 0.9, RIGHT)], []])
    assert found.overall == both(0.5)
    assert found.per_class == {"nut": both(1.0), "bolt": both(0.0)}


def test_a_class_without_an_example_counts_for_nothing() -> None:
    found = detection([image("a", Annotation("nut", LEFT))], [[Found("nut", 0.9, LEFT), Found("bolt", 0.99, RIGHT)]])
    assert found.overall == both(1.0)
    assert list(found.per_class) == ["nut"]


def test_a_crowd_is_neither_missed_nor_mistaken() -> None:
    images = [image("a", Annotation("nut", LEFT), Annotation("nut", RIGHT, is_crowd=True))]
    inside = (0.6, 0.6, 0.9, 0.9)
    found = detection(images, [[Found("nut", 0.95, inside), Found("nut", 0.9, LEFT)]])
    assert found.overall == both(1.0)


def test_pixels_are_those_of_each_image() -> None:
    images = [
        image("a", Annotation("nut", LEFT), size=(4000, 30)),
        image("b", Annotation("nut", LEFT), size=(30, 4000)),
    ]
    assert detection(images, [[Found("nut", 0.9, LEFT)]] * 2).overall == both(1.0)


def test_names_are_matched_without_capitals_and_spaces_and_unknown_ones_left_out() -> None:
    images = [image("a", Annotation("nut", LEFT))]
    found = detection(images, [[Found(" NUT ", 0.9, LEFT), Found("washer", 0.99, LEFT)]])
    assert found.overall == both(1.0)


def test_names_that_differ_only_by_capitals_stay_apart() -> None:
    images = [image("a", Annotation("a", LEFT), Annotation("A", RIGHT))]
    found = detection(images, [[Found("a", 0.9, LEFT), Found("A", 0.9, RIGHT)]], ["a", "A"])
    assert found.overall == both(1.0)


def test_without_any_object_nothing_is_measured() -> None:
    assert detection([image("a")], [[Found("nut", 0.9, LEFT)]]) == Measures({})
    assert detection([], []) == Measures({})


def outlined(annotation_or_found: Any, *polygons: tuple[float, ...]) -> Any:
    return replace(annotation_or_found, polygons=polygons)


SQUARE: Box = (0.0, 0.0, 0.8, 0.8)
TRIANGLE = (0.0, 0.0, 0.8, 0.0, 0.0, 0.8)
OTHER_HALF = (0.8, 0.8, 0.8, 0.0, 0.0, 0.8)


def segmentation(images: list[HoldoutImage], answers: list[list[Found]]) -> Measures:
    return measure("instance_segmentation", CLASSES, images, answers)


def test_masks_are_compared_not_the_boxes_around_them() -> None:
    truth = [image("a", outlined(Annotation("nut", SQUARE), TRIANGLE))]
    same, other = (outlined(Found("nut", 0.9, SQUARE), outline) for outline in (TRIANGLE, OTHER_HALF))
    assert segmentation(truth, [[same]]).overall == both(1.0)
    assert segmentation(truth, [[other]]).overall == both(0.0)
    assert detection(truth, [[other]]).overall == both(1.0)


def test_a_thing_without_an_outline_covers_its_box() -> None:
    truth = [image("a", outlined(Annotation("nut", SQUARE), TRIANGLE))]
    found = segmentation(truth, [[Found("nut", 0.9, SQUARE)]])  # half of the box: an overlap of about 0.5
    assert found.overall["mean_average_precision"] <= 0.1
    assert segmentation([image("a", Annotation("nut", SQUARE))], [[Found("nut", 0.9, SQUARE)]]).overall == both(1.0)


def test_an_object_in_parts_is_one_object() -> None:
    left, right = (0.0, 0.0, 0.2, 0.0, 0.2, 0.8, 0.0, 0.8), (0.6, 0.0, 0.8, 0.0, 0.8, 0.8, 0.6, 0.8)
    truth = [image("a", outlined(Annotation("nut", SQUARE), left, right))]
    assert segmentation(truth, [[outlined(Found("nut", 0.9, SQUARE), left, right)]]).overall == both(1.0)
    half = segmentation(truth, [[outlined(Found("nut", 0.9, (0.0, 0.0, 0.2, 0.8)), left)]])
    assert half.overall == both(0.1, 1.0)  # an overlap of 0.5 counts at the first of ten thresholds
    assert half.again["map50"](np.array([[1]])) == pytest.approx([1.0])


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    detection([image("a", Annotation("nut", LEFT))], [[Found("nut", 0.9, LEFT)]])
    assert capsys.readouterr() == ("", "")


def named(*labels: str) -> HoldoutImage:
    return image("a", *(Annotation(label) for label in labels))


def test_accuracy_and_macro_f1() -> None:
    images = [named("nut"), named("nut"), named("nut"), named("bolt")]
    sure = [Found("nut", 0.9), Found("bolt", 0.1)]
    answers = [sure, sure, [Found("nut", 0.4), Found("bolt", 0.6)], [Found("bolt", 0.7), Found("nut", 0.3)]]
    found = measure("image_classification", CLASSES, images, answers)
    # nut: 2 hits, 3 wanted, 2 found: 4/5. bolt: 1 hit, 1 wanted, 2 found: 2/3.
    assert found.overall == {"accuracy": 0.75, "macro_f1": pytest.approx((4 / 5 + 2 / 3) / 2)}
    assert found.per_class == {
        "nut": {"f1": pytest.approx(4 / 5), "precision": 1.0, "recall": pytest.approx(2 / 3)},
        "bolt": {"f1": pytest.approx(2 / 3), "precision": 0.5, "recall": 1.0},
    }
    assert found.picture == {"classes": CLASSES, "confusion": [[1, 0], [1, 2]]}


def test_an_image_without_an_answer_is_a_mistake() -> None:
    found = measure("image_classification", CLASSES, [named("nut"), named("bolt")], [[Found("nut", 1.0)], []])
    assert found.overall["accuracy"] == 0.5


def test_multilabel_iou() -> None:
    images = [named("nut", "bolt"), named("nut"), named()]
    answers = [
        [Found("nut", 0.5), Found("bolt", 0.49)],  # one of two
        [Found("nut", 0.9), Found("bolt", 0.8)],  # one right of two
        [Found("nut", 0.1)],  # rightly none
    ]
    found = measure("image_classification_multilabel", CLASSES, images, answers)
    # nut: 2 hits, 2 wanted, 2 found. bolt: 0 hits, 1 wanted, 1 found.
    assert found.overall == {"iou": pytest.approx((0.5 + 0.5 + 1) / 3), "macro_f1": 0.5}


def test_answers_belong_to_images_one_by_one() -> None:
    with pytest.raises(ValueError, match="zip"):
        measure("image_classification", CLASSES, [named("nut")], [])
