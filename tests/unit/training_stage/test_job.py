from __future__ import annotations

from typing import Any, get_args

import pytest

from services.config_file import read_config
from services.decisions.budget import machines
from services.errors import ConfigError
from services.loop_config import LoopConfig, Task
from services.training.checks import check_training
from services.training.job import compute_spec, config_hash, job_spec, pace, sweep
from services.training.parameters import PARAMETERS, PRIMARY_METRICS, known_parameters
from tests.support.stages import LOOP, run, version

TASKS = get_args(Task)


def config(**training: Any) -> LoopConfig:
    return LoopConfig.model_validate({"training": training})


def test_the_job_is_what_loop_yaml_says() -> None:
    settings = config(
        primary_metric="mean_average_precision",
        compute={"name": "t4-cluster", "size": "Standard_NC8as_T4_v3", "max_nodes": 3, "idle_seconds": 120},
        limits={"max_trials": 6, "max_concurrent_trials": 4, "timeout_minutes": 60, "trial_timeout_minutes": 20},
        early_termination={"evaluation_interval": 3, "slack_factor": 0.1, "delay_evaluation": 4},
        parameters={"number_of_epochs": 5},
        search_space=[{"learning_rate": "uniform(0.001, 0.01)", "model_size": ["small", "medium"]}],
    )
    spec = job_spec(LOOP, settings, version(3), run(7))
    assert (spec.name, spec.experiment) == (run(7).job, "visionloop-nuts")
    assert (spec.train, spec.validation) == ("vl-nuts-train:3", "vl-nuts-validation:3")
    assert (spec.compute, spec.max_trials, spec.max_concurrent_trials) == ("t4-cluster", 6, 4)
    assert (spec.timeout_minutes, spec.trial_timeout_minutes, spec.sampling) == (60, 20, "random")
    assert spec.parameters == {"number_of_epochs": 5}
    assert [{n: str(d) for n, d in s.items()} for s in spec.search_space] == [
        {"learning_rate": "uniform(0.001, 0.01)", "model_size": "choice(small, medium)"}
    ]
    stop = spec.early_termination
    assert stop is not None
    assert (stop.evaluation_interval, stop.slack_factor, stop.delay_evaluation) == (3, 0.1, 4)
    assert spec.tags == {"visionloop_loop": "nuts", "visionloop_run": "7", "visionloop_dataset": "3"}
    cluster = compute_spec(settings.training)
    assert (cluster.name, cluster.size, cluster.max_nodes, cluster.idle_seconds) == (
        "t4-cluster",
        "Standard_NC8as_T4_v3",
        3,
        120,
    )
    assert machines(settings.training) == 3


def test_no_more_trials_at_once_than_there_are() -> None:
    settings = config(limits={"max_trials": 1, "max_concurrent_trials": 8}, compute={"max_nodes": 5})
    assert job_spec(LOOP, settings, version(), run()).max_concurrent_trials == 1
    assert machines(settings.training) == 1


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_sweep_that_its_own_checks_accept(task: Task) -> None:
    spaces = sweep(config().training, task)
    assert spaces
    assert all(space["model_name"] for space in spaces)
    assert {name for space in spaces for name in space} <= known_parameters(task)
    assert job_spec(LOOP, config(), version(task=task), run()).primary_metric == PRIMARY_METRICS[task][0]


def test_what_is_fixed_is_not_sampled() -> None:
    fixed = config(parameters={"model_name": "yolov5", "learning_rate": 0.004}).training
    assert [sorted(space) for space in sweep(fixed, "object_detection")] == [["model_size"]]


def test_a_model_without_a_published_sweep_gets_its_learning_rate_sampled() -> None:
    other = config(parameters={"model_name": "retinanet_resnet50_fpn"}).training
    assert [sorted(space) for space in sweep(other, "object_detection")] == [["learning_rate"]]


def test_a_grid_is_made_of_choices() -> None:
    spaces = sweep(config(sampling="grid").training, "object_detection")
    assert all(d.kind == "choice" for space in spaces for d in space.values())


BASE = config(parameters={"number_of_epochs": 5})

CHANGING: list[dict[str, Any]] = [
    {"parameters": {"number_of_epochs": 6}},
    {"parameters": {}},
    {"parameters": {"number_of_epochs": 5}, "limits": {"max_trials": 9}},
    {"parameters": {"number_of_epochs": 5}, "sampling": "bayesian", "search_space": [{"momentum": [0.9]}]},
    {"parameters": {"number_of_epochs": 5}, "search_space": [{"learning_rate": [0.01]}]},
    {"parameters": {"number_of_epochs": 5}, "early_termination": None},
]
SAME: list[dict[str, Any]] = [
    {"first_threshold": {"images": 99}},
    {"retrain_threshold": {"new_images": 1}},
    {"cooldown_seconds": 1},
    {"max_jobs_per_day": 1},
    {"budget": {"gpu_hours_per_month": 1}},
    {"compute": {"name": "another", "size": "Standard_NC24ads_A100_v4"}},
    {"primary_metric": "mean_average_precision"},  # the task's usual one, said aloud
]


@pytest.mark.parametrize("training", CHANGING)
def test_what_changes_the_model_changes_the_hash(training: dict[str, Any]) -> None:
    assert config_hash(config(**training), version()) != config_hash(BASE, version())


@pytest.mark.parametrize("training", SAME)
def test_what_does_not_change_the_model_does_not(training: dict[str, Any]) -> None:
    assert config_hash(config(parameters={"number_of_epochs": 5}, **training), version()) == config_hash(
        BASE, version()
    )


def test_task_and_classes_change_the_hash() -> None:
    known = config_hash(config(), version())
    assert config_hash(config(), version(task="instance_segmentation")) != known
    assert config_hash(config(), version(classes=["bolt", "nut", "washer"])) != known
    assert config_hash(config(), version(2, content_hash="other")) == known


@pytest.mark.parametrize(
    ("yaml", "place"),
    [
        (
            "parameters: {number_of_epoch: 3}",
            "parameters.number_of_epoch: expected a parameter of AutoML (did you mean number_of_epochs?), found ",
        ),
        ("parameters: {learning_rate: 'uniform(0, 1)'}", "parameters.learning_rate: expected one value"),
        ("parameters: {learning_rate: [0.1, 0.2]}", "parameters.learning_rate: expected one value"),
        ("search_space: [{}, {model_nam: [yolov5]}]", "search_space.1.model_nam: expected a parameter"),
        ("search_space: [{momentum: 'uniform(1, 0)'}]", "search_space.0.momentum: expected uniform(least, most)"),
        ("{sampling: grid, search_space: [{momentum: 'uniform(0, 1)'}]}", "search_space.0.momentum: expected choice"),
        ("primary_metric: map", "primary_metric: expected one of mean_average_precision, "),
    ],
)
def test_reading_loop_yaml_tells_what_automl_would_refuse(yaml: str, place: str) -> None:
    found, problems = read_config(
        f"training: {yaml if yaml.startswith('{') else '{' + yaml + '}'}".encode(), "loop.yaml"
    )
    assert found is None
    assert problems[0].expected.startswith(place)
    assert problems[0].place.startswith("line 1, training")


def test_the_task_narrows_the_names() -> None:
    boxes = config(parameters={"box_score_threshold": 0.3})
    check_training(boxes.training)
    check_training(boxes.training, "object_detection")
    with pytest.raises(ConfigError, match="box_score_threshold"):
        check_training(boxes.training, "image_classification")
    with pytest.raises(ConfigError, match="primary_metric"):
        check_training(config(primary_metric="iou").training, "object_detection")


def test_the_names_are_those_of_the_sdk() -> None:
    import inspect
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from azure.ai.ml import automl

    jobs = {
        "object_detection": automl.ImageObjectDetectionJob,
        "instance_segmentation": automl.ImageInstanceSegmentationJob,
        "image_classification": automl.ImageClassificationJob,
        "image_classification_multilabel": automl.ImageClassificationMultilabelJob,
    }
    job: Any
    for task, job in jobs.items():
        named = set(inspect.signature(job.set_training_parameters).parameters) - {"self"}
        assert set(PARAMETERS[task]) == named, task  # type: ignore[index]


@pytest.mark.parametrize(
    "training",
    [
        {"parameters": {"image_size": 1280}},
        {"parameters": {"model_name": "yolov5"}},
        {"search_space": [{"number_of_epochs": "choice(50, 100)"}]},
        {"limits": {"max_trials": 8}},
        {"limits": {"max_concurrent_trials": 1}},
        {"limits": {"trial_timeout_minutes": 5}},
        {"compute": {"size": "Standard_NC24s_v3"}},
        {"early_termination": None},
    ],
)
def test_what_a_run_s_duration_depends_on_changes_its_pace(training: dict[str, Any]) -> None:
    assert pace(config(**training), version()) != pace(config(), version())


def test_what_takes_no_time_leaves_the_pace() -> None:
    known = pace(config(), version())
    for training in (
        {"limits": {"timeout_minutes": 60}},
        {"primary_metric": "mean_average_precision"},
        {"cooldown_seconds": 5},
        {"compute": {"name": "another", "idle_seconds": 60}},
    ):
        assert pace(config(**training), version()) == known
    assert pace(config(), version(2, classes=["bolt", "nut", "washer"], content_hash="other")) == known
    assert pace(config(), version(task="instance_segmentation")) != known
