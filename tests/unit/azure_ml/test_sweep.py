from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.azure_ml import sweep
from emulator.azure_ml.errors import AzureError


def details(*spaces: dict[str, str], trials: int = 4, sampling: str = "Random", **settings: Any) -> dict[str, Any]:
    return {
        "modelSettings": settings or None,
        "searchSpace": list(spaces) or None,
        "limitSettings": {"maxTrials": trials},
        "sweepSettings": {"samplingAlgorithm": sampling},
    }


def test_names_are_the_trainer_s() -> None:
    assert sweep.snake("learningRate") == "learning_rate"
    assert sweep.snake("stepLRGamma".replace("LR", "Lr")) == "step_lr_gamma"


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT1H", 3600), ("PT1H30M", 5400), ("P1D", 86400), ("PT2.5S", 2.5), (None, 7)]
)
def test_durations(text: str | None, seconds: float) -> None:
    assert sweep.duration_seconds(text, 7) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "1H", "PT1X", "P1Y", "-PT1H"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(AzureError) as found:
        sweep.duration_seconds(text, 1)
    assert found.value.status == 400


def test_without_a_search_space_there_is_one_trial() -> None:
    assert sweep.trials(details(modelName="yolov5", numberOfEpochs=5), "a") == [
        {"model_name": "yolov5", "number_of_epochs": 5}
    ]


def test_advanced_settings_join_the_hyperparameters_of_every_trial() -> None:
    found = sweep.trials(
        details({"learningRate": "uniform(0.1,0.2)"}, advancedSettings='{"flips": false, "views": 3}'), "a"
    )
    assert len(found) == 4
    assert all(t["flips"] is False and t["views"] == 3 and "advanced_settings" not in t for t in found)


@pytest.mark.parametrize("text", ["{", "[1]", "1", '"x"'])
def test_advanced_settings_must_be_an_object(text: str) -> None:
    with pytest.raises(AzureError, match="advancedSettings"):
        sweep.trials(details(advancedSettings=text), "a")


def test_the_same_job_name_gives_the_same_trials() -> None:
    space = {"learningRate": "uniform(0.0001,0.01)", "modelSize": "choice('small','medium')"}
    first = sweep.trials(details(space, trials=8), "job-1")
    assert first == sweep.trials(details(space, trials=8), "job-1")
    assert first != sweep.trials(details(space, trials=8), "job-2")
    assert len({json.dumps(t) for t in first}) > 1


def test_every_space_is_drawn_from() -> None:
    yolo = {"learningRate": "uniform(0.0001,0.01)", "modelName": "choice('yolov5')"}
    other = {"minSize": "choice(600,800)", "modelName": "choice('fasterrcnn_resnet50_fpn')"}
    found = sweep.trials(details(yolo, other), "job")
    assert {t["model_name"] for t in found} == {"yolov5", "fasterrcnn_resnet50_fpn"}
    assert all(("min_size" in t) == (t["model_name"] != "yolov5") for t in found)


def test_a_grid_is_every_combination_within_the_limit() -> None:
    space = {"a": "choice(1,2,3)", "b": "choice('x','y')"}
    whole = sweep.trials(details(space, trials=99, sampling="Grid"), "job")
    assert {(t["a"], t["b"]) for t in whole} == {(a, b) for a in (1, 2, 3) for b in "xy"}
    assert len(whole) == 6
    assert sweep.trials(details(space, trials=4, sampling="Grid"), "job") == whole[:4]


def test_a_grid_takes_choices_only() -> None:
    with pytest.raises(AzureError, match="choice"):
        sweep.trials(details({"a": "uniform(0,1)"}, sampling="Grid"), "job")


def test_a_search_space_wins_over_a_fixed_value() -> None:
    found = sweep.trials(details({"learningRate": "choice(0.5)"}, learningRate=0.1), "job")
    assert {t["learning_rate"] for t in found} == {0.5}


def one(expression: str, job: str = "job") -> Any:
    return sweep.trials(details({"x": expression}, trials=1), job)[0]["x"]


@given(st.text("abc", min_size=1), st.integers(-1000, 1000), st.integers(1, 1000))
def test_draws_stay_within_their_bounds(job: str, low: int, width: int) -> None:
    high = low + width
    assert low <= one(f"uniform({low},{high})", job) <= high
    assert 0 <= one(f"randint({width})", job) < width
    assert low <= one(f"choice({low},{high})", job) <= high
    assert math.isclose(one(f"quniform({low},{high},5)", job) % 5, 0)


@given(st.text("abc", min_size=1))
def test_loguniform_takes_exponents(job: str) -> None:
    assert math.exp(-6) <= one("loguniform(-6,-1)", job) <= math.exp(-1)
    assert one("lognormal(0,1)", job) > 0
    assert isinstance(one("normal(0,1)", job), float)
    assert one("qlognormal(0,1,1)", job) == round(one("qlognormal(0,1,1)", job))


@pytest.mark.parametrize(
    "expression",
    ["uniform(1)", "choice()", "nosuch(1,2)", "uniform('a','b')", "__import__('os')", "uniform(0,", "randint(0)"],
)
def test_what_is_no_expression(expression: str) -> None:
    with pytest.raises(AzureError) as found:
        one(expression)
    assert (found.value.status, found.value.code) == (400, "UserError")


def test_plain_values_are_choices_of_one() -> None:
    assert one("0.25") == 0.25
    assert one("'small'") == "small"
    assert one("choice(True)") is True


def test_the_policies() -> None:
    assert sweep.early_termination({}) is None
    bandit = {"policyType": "Bandit", "evaluationInterval": 2, "delayEvaluation": 6, "slackFactor": 0.2}
    found = sweep.early_termination({"sweepSettings": {"earlyTermination": bandit}})
    assert found == {"policy": "bandit", "evaluation_interval": 2, "delay_evaluation": 6, "slack_factor": 0.2}
    truncation = {"policyType": "TruncationSelection", "truncationPercentage": 20}
    found = sweep.early_termination({"sweepSettings": {"earlyTermination": truncation}})
    assert found == {"policy": "truncation_selection", "truncation_percentage": 20}
