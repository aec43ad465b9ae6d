from __future__ import annotations

from typing import Any

import pytest

from emulator.azure_ml.training.parameters import Parameters, read


def detector(**given: Any) -> Parameters:
    return read(given, detection=True, seed=7)


def test_what_is_not_given_has_a_value() -> None:
    found = detector()
    assert 0 < found.learning_rate < 0.1
    assert found.epochs >= 8
    assert found.views >= 1
    assert found.seed == 7
    assert found.flips is False  # where the sign matters, a mirrored card is a wrong card


def test_automls_names_are_taken_as_text_too() -> None:
    found = detector(
        learning_rate="0.01", number_of_epochs="3", training_batch_size="4", optimizer="SGD", weight_decay="0.01",
        momentum="0.8", views="2", evaluation_frequency="2", random_seed="11",
    )  # fmt: skip
    assert found.learning_rate == 0.01
    assert (found.epochs, found.batch, found.views, found.every, found.seed) == (3, 4, 2, 2, 11)
    assert (found.optimizer, found.weight_decay, found.momentum) == ("sgd", 0.01, 0.8)


def test_an_optimizer_has_its_own_learning_rate() -> None:
    assert detector(optimizer="sgd").learning_rate > detector(optimizer="adamw").learning_rate


def test_an_optimizer_that_is_not_known_is_the_usual_one() -> None:
    assert detector(optimizer="lion") == detector()


def test_a_larger_model_is_wider() -> None:
    widths = [detector(model_size=size).width for size in ("small", "medium", "large", "xlarge")]
    assert widths == sorted(set(widths))
    assert detector(model_size="gigantic").width == detector().width


def test_the_contracts_batch_size_is_known_and_automls_name_wins() -> None:
    assert detector(batch_size=5).batch == 5
    assert detector(batch_size=5, training_batch_size=9).batch == 9


@pytest.mark.parametrize("name", ["number_of_epochs", "training_batch_size", "evaluation_frequency"])
def test_none_of_something_that_must_be_is_the_usual(name: str) -> None:
    assert detector(**{name: 0}) == detector()


def test_no_views_at_all_is_possible() -> None:
    assert detector(views=0).views == 0


def test_flips_are_on_where_asked() -> None:
    assert detector(horizontal_flip=True).flips is True


def test_what_is_not_known_is_named_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert detector(nms_iou_threshold=0.4, tile_grid_size="2x2", model_name="yolov5") == detector()
    said = capsys.readouterr().err
    assert "nms_iou_threshold, tile_grid_size" in said
    assert "model_name" not in said
