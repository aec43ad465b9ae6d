"""Makes the AutoML job of a dataset version, and the hash of everything in it that changes the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from services.cloud.ports.training import AutoMLJobSpec, ComputeSpec, EarlyTerminationSpec
from services.decisions.budget import machines
from services.distributions import Distribution
from services.loop_config import LoopConfig, Task
from services.names import digest
from services.state import DatasetVersion, TrainingRun
from services.training.checks import check_training
from services.training.code import script_recipe
from services.training.parameters import PRIMARY_METRICS
from services.training.search_space import read_space
from services.training_config import Training

_Space = dict[str, Distribution]

# Microsoft's published sample sweeps (azureml-examples, sdk/python/jobs/automl-standalone-jobs).
_SWEEPS: dict[Task, Sequence[Mapping[str, str]]] = {
    "object_detection": (
        {
            "model_name": "choice(yolov5)",
            "learning_rate": "uniform(0.0001, 0.01)",
            "model_size": "choice(small, medium)",
        },
        {
            "model_name": "choice(fasterrcnn_resnet50_fpn)",
            "learning_rate": "uniform(0.0001, 0.001)",
            "optimizer": "choice(sgd, adam, adamw)",
            "min_size": "choice(600, 800)",
        },
    ),
    "instance_segmentation": (
        {
            "model_name": "choice(maskrcnn_resnet50_fpn)",
            "learning_rate": "uniform(0.0001, 0.001)",
            "optimizer": "choice(sgd, adam, adamw)",
            "min_size": "choice(600, 800)",
        },
    ),
    "image_classification": (
        {
            "model_name": "choice(vitb16r224)",
            "learning_rate": "uniform(0.001, 0.01)",
            "number_of_epochs": "choice(15, 30)",
        },
        {
            "model_name": "choice(seresnext)",
            "learning_rate": "uniform(0.001, 0.01)",
            "layers_to_freeze": "choice(0, 2)",
        },
    ),
    "image_classification_multilabel": (
        {
            "model_name": "choice(vitb16r224)",
            "learning_rate": "uniform(0.005, 0.05)",
            "number_of_epochs": "choice(15, 30)",
        },
        {
            "model_name": "choice(seresnext)",
            "learning_rate": "uniform(0.005, 0.05)",
            "layers_to_freeze": "choice(0, 2)",
        },
    ),
}


_TIMELESS = frozenset({"classes", "primary_metric", "limits", "timeout_minutes"})
"""In a recipe, what does not change how long a run takes; limits do in part, and are looked at one by one."""


def config_hash(config: LoopConfig, version: DatasetVersion, code: str = "") -> str:
    """A hash of what changes the trained model: task, classes and the job's settings, but no threshold and no compute.

    `code` is the digest of the user's own script, for kind command.

    Raises:
        ConfigError: the training settings do not fit the task, or there is no script.
    """
    own = config.training.kind == "command"
    recipe = script_recipe(config.training, version, code) if own else _recipe(config.training, version)
    return digest(json.dumps(recipe, sort_keys=True))


def pace(config: LoopConfig, version: DatasetVersion, code: str = "") -> str:
    """A hash of what a run's duration depends on beside its images: task, model, trials, image size, script, cluster.

    Raises:
        ConfigError: the training settings do not fit the task, or there is no script.
    """
    training = config.training
    own = training.kind == "command"
    recipe = script_recipe(training, version, code) if own else _recipe(training, version)
    timeless = {name: value for name, value in recipe.items() if name not in _TIMELESS}
    limits = training.limits
    trials = [] if own else [limits.max_trials, limits.trial_timeout_minutes, machines(training)]
    return digest(json.dumps([timeless, trials, training.compute.size.lower()], sort_keys=True))


def job_spec(loop: str, config: LoopConfig, version: DatasetVersion, run: TrainingRun) -> AutoMLJobSpec:
    """The job of a run.

    Raises:
        ConfigError: the training settings do not fit the task.
    """
    training = config.training
    check_training(training, version.task)
    return AutoMLJobSpec(
        name=run.job,
        experiment=f"visionloop-{loop}",
        task=version.task,
        train=version.train_asset,
        validation=version.validation_asset,
        compute=training.compute.name,
        primary_metric=primary_metric(training, version.task),
        max_trials=training.limits.max_trials,
        max_concurrent_trials=_concurrent(training),
        timeout_minutes=training.limits.timeout_minutes,
        trial_timeout_minutes=training.limits.trial_timeout_minutes,
        sampling=training.sampling,
        parameters=training.parameters,
        search_space=sweep(training, version.task),
        early_termination=_early_termination(training),
        tags={
            "visionloop_loop": loop,
            "visionloop_run": str(run.number),
            "visionloop_dataset": str(version.number),
        },
    )


def compute_spec(training: Training) -> ComputeSpec:
    """The cluster that the run needs."""
    compute = training.compute
    return ComputeSpec(compute.name, compute.size, compute.max_nodes, compute.idle_seconds)


def primary_metric(training: Training, task: Task) -> str:
    """The metric that trials are ranked by."""
    return training.primary_metric or PRIMARY_METRICS[task][0]


def sweep(training: Training, task: Task) -> list[_Space]:
    """The search space of loop.yaml, or the task's published one without what `parameters` fix."""
    if training.search_space:
        return [read_space(space, f"search_space.{i}.") for i, space in enumerate(training.search_space)]
    spaces = [read_space(space) for space in _SWEEPS[task]]
    model = training.parameters.get("model_name")
    fitting = [s for s in spaces if model is None or model in s["model_name"].arguments]
    default = fitting or [{"learning_rate": spaces[0]["learning_rate"]}]
    if training.sampling == "grid":
        default = [{n: d for n, d in space.items() if d.kind == "choice"} for space in default]
    free = [{n: d for n, d in space.items() if n not in training.parameters} for space in default]
    return [space for space in free if space]


def _concurrent(training: Training) -> int:
    return min(training.limits.max_concurrent_trials, training.limits.max_trials)


def _early_termination(training: Training) -> EarlyTerminationSpec | None:
    policy = training.early_termination
    if policy is None:
        return None
    return EarlyTerminationSpec(**policy.model_dump())


def _recipe(training: Training, version: DatasetVersion) -> dict[str, object]:
    check_training(training, version.task)
    stop = _early_termination(training)
    return {
        "task": version.task,
        "classes": version.classes,
        "primary_metric": primary_metric(training, version.task),
        "limits": training.limits.model_dump(),
        "sampling": training.sampling,
        "parameters": training.parameters,
        "sweep": [{n: [d.kind, *d.arguments] for n, d in space.items()} for space in sweep(training, version.task)],
        "early_termination": asdict(stop) if stop else None,
    }
