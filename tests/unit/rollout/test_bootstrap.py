"""Weighted metrics against the same metrics of images that are really there so many times; intervals by their sense."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from services.datasets.reading import HoldoutImage
from services.labels.annotation import Annotation, Box
from services.loop_config import Task
from services.rollout.answers import Found
from services.rollout.bootstrap import FEWEST_RESAMPLES, MOST_RESAMPLES, difference, resamples
from services.rollout.metrics import Measures, measure
from tests.support.timing import quickest

CLASSES = ["bolt", "nut", "washer"]
DETECTION: Task = "object_detection"


def a_box(dice: random.Random) -> Box:
    left, top = dice.uniform(0, 0.6), dice.uniform(0, 0.6)
    return (left, top, left + dice.uniform(0.1, 0.4), top + dice.uniform(0.1, 0.4))


def near(dice: random.Random, box: Box) -> Box:
    return tuple(min(max(c + dice.gauss(0, 0.02), 0), 1) for c in box)  # type: ignore[return-value]


def boxes(count: int, seed: int, hit: float = 0.7) -> tuple[list[HoldoutImage], list[list[Found]]]:
    dice = random.Random(seed)
    images, answers = [], []
    for number in range(count):
        truth = [
            Annotation(dice.choice(CLASSES[:2]), a_box(dice), is_crowd=dice.random() < 0.05)
            for _ in range(dice.randint(0, 4))
        ]
        found = [Found(t.label, dice.random(), near(dice, t.box)) for t in truth if t.box and dice.random() < hit]
        found += [Found(dice.choice(CLASSES), dice.random() * 0.8, a_box(dice)) for _ in range(dice.randint(0, 3))]
        images.append(HoldoutImage(f"{number}.jpg", 100, 80, tuple(truth)))
        answers.append(found)
    return images, answers


def named(count: int, seed: int, right: float, most: int) -> tuple[list[HoldoutImage], list[list[Found]]]:
    dice = random.Random(seed)
    images, answers = [], []
    for number in range(count):
        labels = dice.sample(CLASSES, dice.randint(1, most))
        said = labels if dice.random() < right else dice.sample(CLASSES, dice.randint(1, most))
        images.append(HoldoutImage(f"{number}.jpg", 10, 10, tuple(Annotation(label) for label in labels)))
        answers.append([Found(label, dice.uniform(0.6, 1)) for label in said])
    return images, answers


def repeated(rows: list[Any], weights: Any) -> list[Any]:
    return [row for row, times in zip(rows, weights, strict=True) for _ in range(times)]


SETS = {
    "object_detection": boxes(30, 1),
    "image_classification": named(30, 2, 0.7, 1),
    "image_classification_multilabel": named(30, 3, 0.5, 2),
}


@pytest.mark.parametrize("task", list(SETS))
def test_a_weighted_metric_is_that_of_images_which_are_there_so_often(task: Any) -> None:
    images, answers = SETS[task]
    found = measure(task, CLASSES, images, answers)
    generator = np.random.default_rng(5)
    drawn = generator.multinomial(len(images), [1 / len(images)] * len(images), size=12)
    drawn[0] = 1
    for metric, again in found.again.items():
        weighted = again(drawn)
        for weights, score in zip(drawn, weighted, strict=True):
            really = measure(task, CLASSES, repeated(images, weights), repeated(answers, weights))
            assert score == pytest.approx(really.overall[metric], abs=1e-9), metric
    assert set(found.again) == set(found.overall)


def test_a_draw_without_anything_to_find_is_not_a_number() -> None:
    images, answers = boxes(4, 7)
    images[0] = HoldoutImage("empty.jpg", 10, 10, ())
    found = measure(DETECTION, CLASSES, images, answers)
    weighted = found.again["map50"](np.array([[4, 0, 0, 0], [1, 1, 1, 1]]))
    assert np.isnan(weighted[0])
    assert weighted[1] == pytest.approx(found.overall["map50"])


def compared(one: Measures, other: Measures, images: int, metric: str) -> Any:
    interval = difference(one.again[metric], other.again[metric], images, seed=1)
    assert interval is not None
    return interval


def test_a_model_does_not_differ_from_itself() -> None:
    images, answers = SETS[DETECTION]
    found = measure(DETECTION, CLASSES, images, answers)
    interval = compared(found, found, len(images), "mean_average_precision")
    assert (interval.low, interval.high, interval.better) == (0.0, 0.0, 0.0)
    assert interval.resamples > 900


@pytest.mark.parametrize(("images", "known"), [(1, False), (5, False), (6, True)])
def test_very_few_images_tell_nothing_from_noise(images: int, known: bool) -> None:
    """Draws of one image are all that image: a gain on it would be called sure."""
    interval = difference(lambda drawn: drawn.sum(axis=1) * 0 + 1.0, lambda drawn: drawn.sum(axis=1) * 0.0, images, 7)
    assert (interval is not None) is known


def test_much_better_is_sure_and_a_little_better_is_not() -> None:
    images, answers = boxes(60, 11, hit=0.5)
    perfect = [[Found(a.label, 0.9, a.box) for a in image.annotations if a.box] for image in images]
    weak, strong = (measure(DETECTION, CLASSES, images, each) for each in (answers, perfect))
    interval = compared(strong, weak, 60, "map50")
    assert interval.low > 0.1
    assert interval.low < strong.overall["map50"] - weak.overall["map50"] < interval.high
    one_more = [perfect[0], *answers[1:]]
    assert compared(measure(DETECTION, CLASSES, images, one_more), weak, 60, "map50").low <= 0


def test_the_interval_of_a_share_is_that_of_the_textbook() -> None:
    """Wrong by one in ten of one hundred, against always right: 0.1 with a standard error of 0.03."""
    images = [HoldoutImage(f"{n}.jpg", 1, 1, (Annotation("nut"),)) for n in range(100)]
    right, wrong = [Found("nut", 1.0)], [Found("bolt", 1.0)]
    good = measure("image_classification", CLASSES, images, [right] * 100)
    bad = measure("image_classification", CLASSES, images, [wrong] * 10 + [right] * 90)
    interval = compared(good, bad, 100, "accuracy")
    assert interval.low == pytest.approx(0.1 - 1.96 * 0.03, abs=0.012)
    assert interval.high == pytest.approx(0.1 + 1.96 * 0.03, abs=0.012)
    assert interval.better > 0.99


def test_the_same_seed_says_the_same() -> None:
    images, answers = SETS[DETECTION]
    other = measure(DETECTION, CLASSES, images, boxes(30, 4)[1])
    found = measure(DETECTION, CLASSES, images, answers)
    assert compared(found, other, 30, "map50") == compared(found, other, 30, "map50")


@pytest.mark.parametrize(
    ("size", "count"), [(10, MOST_RESAMPLES), (100_000, 500), (10**9, FEWEST_RESAMPLES), (0, MOST_RESAMPLES)]
)
def test_more_to_measure_is_measured_less_often(size: int, count: int) -> None:
    assert resamples(size) == count


def test_a_thousand_images_are_affordable() -> None:
    images, answers = boxes(400, 21)
    found = measure(DETECTION, CLASSES, images, answers)
    assert quickest(lambda: compared(found, found, 400, "mean_average_precision"), 10) < 10
