from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emulator.azure_ml.training.job import Row
from emulator.azure_ml.training.scores import accuracy, mean_average_precision, mean_iou

HERE, THERE = (0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.9, 0.9)
Guess = tuple[tuple[float, float, float, float], float, int]


def row(*labelled: tuple[tuple[float, float, float, float], int]) -> Row:
    return Row(Path("x"), tuple(box for box, _ in labelled), tuple(label for _, label in labelled))


def guesses(*found: Guess) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes = np.array([g[0] for g in found], np.float32).reshape(-1, 4)
    return boxes, np.array([g[1] for g in found], np.float32), np.array([g[2] for g in found], np.intp)


def test_everything_found_exactly_is_one() -> None:
    rows = [row((HERE, 0), (THERE, 1)), row((THERE, 0))]
    found = [guesses((HERE, 0.9, 0), (THERE, 0.8, 1)), guesses((THERE, 0.7, 0))]
    assert mean_average_precision(rows, found, 2) == {
        "mean_average_precision": pytest.approx(1.0),
        "map50": pytest.approx(1.0),
    }


def test_an_overlap_of_three_quarters_counts_at_six_of_ten_thresholds() -> None:
    # the guess is three quarters of the box: thresholds 0.50, 0.55 … 0.75 of COCO's ten are met
    found = mean_average_precision([row(((0.1, 0.1, 0.5, 0.5), 0))], [guesses(((0.1, 0.1, 0.5, 0.4001), 0.9, 0))], 1)
    assert found == {"mean_average_precision": pytest.approx(0.6), "map50": pytest.approx(1.0)}


def test_a_surer_false_guess_halves_the_precision() -> None:
    found = mean_average_precision([row((HERE, 0))], [guesses((THERE, 0.9, 0), (HERE, 0.5, 0))], 1)
    assert found["map50"] == pytest.approx(0.5)


def test_a_missed_box_costs_recall() -> None:
    # COCO reads precision at 101 recalls; half of them and the one at 0.5 are reached
    found = mean_average_precision([row((HERE, 0), (THERE, 0))], [guesses((HERE, 0.9, 0))], 1)
    assert found["map50"] == pytest.approx(51 / 101)


def test_the_right_place_and_the_wrong_class_is_nothing() -> None:
    found = mean_average_precision([row((HERE, 0))], [guesses((HERE, 0.9, 1))], 2)
    assert found["map50"] == pytest.approx(0.0)


@pytest.mark.parametrize(("truth", "guess"), [(row(), guesses((HERE, 0.9, 0))), (row((HERE, 0)), guesses())])
def test_no_truth_or_no_guess_is_zero(truth: Row, guess: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert mean_average_precision([truth], [guess], 1) == {"mean_average_precision": 0.0, "map50": 0.0}


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    mean_average_precision([row((HERE, 0))], [guesses((HERE, 0.9, 0))], 1)
    assert capsys.readouterr().out == ""


def test_accuracy_is_the_share_of_right_images() -> None:
    scores = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.1, 0.9]], np.float32)
    assert accuracy(np.array([0, 1, 1, 1]), scores) == {"accuracy": 0.75}


def test_mean_iou_of_label_sets() -> None:
    truth = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    scores = np.array([[0.9, 0.1, 0.8], [0.9, 0.4, 0.0], [0.1, 0.2, 0.3], [0.9, 0.0, 0.0]], np.float32)
    # one of three, all, both empty (all), none
    assert mean_iou(truth, scores)["iou"] == pytest.approx((1 / 3 + 1 + 1 + 0) / 4)
