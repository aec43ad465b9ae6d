from __future__ import annotations

import numpy as np
import pytest

from emulator.azure_ml.serving.decode import MOST_BOXES, detections, suppress


def boxes_of(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    corner = dice.uniform(0, 0.6, (count, 2))
    boxes = np.concatenate([corner, corner + dice.uniform(0.05, 0.4, (count, 2))], axis=1)
    return boxes.astype(np.float32), dice.permutation(count).astype(np.float32) / count


def iou(one: np.ndarray, other: np.ndarray) -> float:
    width, height = (max(0.0, min(one[i + 2], other[i + 2]) - max(one[i], other[i])) for i in (0, 1))
    inner = float(width * height)
    return inner / (sum(float((b[2] - b[0]) * (b[3] - b[1])) for b in (one, other)) - inner)


def brute_force(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> list[int]:
    kept: list[int] = []
    for number in sorted(range(len(boxes)), key=lambda n: -scores[n]):
        if all(iou(boxes[number], boxes[k]) <= overlap for k in kept):
            kept.append(number)
    return kept


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("overlap", [0.3, 0.6])
def test_suppression_keeps_what_brute_force_keeps(seed: int, overlap: float) -> None:
    boxes, scores = boxes_of(60, seed)
    assert suppress(boxes, scores, overlap).tolist() == brute_force(boxes, scores, overlap)


def test_nothing_in_nothing_out() -> None:
    assert suppress(np.zeros((0, 4), np.float32), np.zeros(0, np.float32)).tolist() == []
    boxes, scores, labels = detections(np.zeros((5, 4), np.float32), np.zeros((5, 2), np.float32), 0.05)
    assert (boxes.shape, scores.shape, labels.shape) == ((0, 4), (0,), (0,))


def test_boxes_of_different_classes_do_not_suppress_each_other() -> None:
    boxes = np.array([[0.1, 0.1, 0.5, 0.5]] * 2, dtype=np.float32)
    scores = np.array([[0.9, 0.0], [0.0, 0.8]], dtype=np.float32)
    found, confident, labels = detections(boxes, scores, 0.05)
    assert labels.tolist() == [0, 1]
    assert confident.tolist() == pytest.approx([0.9, 0.8])
    assert found.tolist() == [pytest.approx([0.1, 0.1, 0.5, 0.5])] * 2


def test_of_two_like_boxes_of_a_class_the_surer_stays() -> None:
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.11, 0.1, 0.5, 0.5]], dtype=np.float32)
    _, confident, _ = detections(boxes, np.array([[0.4], [0.7]], dtype=np.float32), 0.05)
    assert confident.tolist() == pytest.approx([0.7])


def test_what_is_not_above_the_threshold_is_not_answered() -> None:
    boxes, scores = boxes_of(30, 1)
    _, confident, _ = detections(boxes, scores[:, None], 0.5)
    assert len(confident)
    assert (confident > 0.5).all()


def test_boxes_are_clipped_to_the_image_and_best_first() -> None:
    boxes, scores = boxes_of(50, 2)
    found, confident, _ = detections(boxes * 3 - 1, scores[:, None], 0.05)
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(confident) <= 0).all()


def test_at_most_a_hundred_boxes_and_the_best_of_thousands() -> None:
    corner = np.random.default_rng(0).uniform(0, 0.99, (3000, 2)).astype(np.float32)
    boxes = np.concatenate([corner, corner + 0.002], axis=1)
    scores = np.linspace(0.06, 0.99, 3000, dtype=np.float32)
    _, confident, _ = detections(boxes, scores[:, None], 0.05)
    assert len(confident) == MOST_BOXES
    assert confident[0] == pytest.approx(0.99)
    assert confident[-1] > 0.9
