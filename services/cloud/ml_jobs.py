"""Makes azure-ai-ml's job of our description of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.cloud.ml_client import load_sdk
from services.cloud.ports.training import AutoMLJobSpec, CommandJobSpec, EarlyTerminationSpec
from services.distributions import Distribution

LABEL_COLUMN = "label"
KIND_TAG = "visionloop_kind"
"""On jobs of a user's script, which have no trials: such a job is its own best one."""


def automl_job(spec: AutoMLJobSpec) -> Any:
    """An AutoML image job of azure-ai-ml. Azure ML knows no time-out for a single trial of an image job."""
    load_sdk()
    from azure.ai.ml import Input, automl

    factory = {
        "object_detection": automl.image_object_detection,
        "image_classification": automl.image_classification,
        "image_classification_multilabel": automl.image_classification_multilabel,
        "instance_segmentation": automl.image_instance_segmentation,
    }[spec.task]
    job = factory(
        name=spec.name,
        display_name=spec.name,
        experiment_name=spec.experiment,
        compute=spec.compute,
        training_data=Input(type="mltable", path=f"azureml:{spec.train}"),
        validation_data=Input(type="mltable", path=f"azureml:{spec.validation}"),
        target_column_name=LABEL_COLUMN,
        primary_metric=spec.primary_metric,
        tags=dict(spec.tags),
    )
    _settings(job, spec)
    return job


def command_job(spec: CommandJobSpec, code: Path) -> Any:
    """A command job of azure-ai-ml, which uploads the folder `code`."""
    load_sdk()
    from azure.ai.ml import Input, command
    from azure.ai.ml.entities import Environment

    by_name = spec.environment.startswith("azureml:")
    job = command(
        name=spec.name,
        display_name=spec.name,
        experiment_name=spec.experiment,
        code=str(code),
        command=spec.command,
        environment=spec.environment if by_name else Environment(image=spec.environment),
        environment_variables=dict(spec.environment_variables),
        inputs={name: Input(type="mltable", path=f"azureml:{asset}") for name, asset in spec.inputs.items()},
        compute=spec.compute,
        tags={**spec.tags, KIND_TAG: "command"},
    )
    job.set_limits(timeout=60 * spec.timeout_minutes)
    return job


def _settings(job: Any, spec: AutoMLJobSpec) -> None:
    job.set_limits(
        max_trials=spec.max_trials,
        max_concurrent_trials=spec.max_concurrent_trials,
        timeout_minutes=spec.timeout_minutes,
    )
    if spec.parameters:
        job.set_training_parameters(**spec.parameters)
    if spec.search_space:
        _sweep(job, spec)


def _sweep(job: Any, spec: AutoMLJobSpec) -> None:
    from azure.ai.ml.automl import SearchSpace

    spaces = [SearchSpace(**{n: _distribution(d) for n, d in space.items()}) for space in spec.search_space]
    job.extend_search_space(spaces)
    stop = spec.early_termination and _early_termination(spec.early_termination)
    job.set_sweep(sampling_algorithm=spec.sampling.capitalize(), early_termination=stop)


def _early_termination(stop: EarlyTerminationSpec) -> Any:
    from azure.ai.ml.sweep import BanditPolicy, MedianStoppingPolicy, TruncationSelectionPolicy

    when = {"evaluation_interval": stop.evaluation_interval, "delay_evaluation": stop.delay_evaluation}
    if stop.policy == "median_stopping":
        return MedianStoppingPolicy(**when)
    if stop.policy == "truncation_selection":
        return TruncationSelectionPolicy(truncation_percentage=stop.truncation_percentage, **when)
    return BanditPolicy(slack_factor=stop.slack_factor, **when)


def _distribution(distribution: Distribution) -> Any:
    from azure.ai.ml import sweep

    if distribution.kind == "choice":
        return sweep.Choice(list(distribution.arguments))
    kinds = {
        "randint": sweep.Randint,
        "uniform": sweep.Uniform,
        "quniform": sweep.QUniform,
        "loguniform": sweep.LogUniform,
        "qloguniform": sweep.QLogUniform,
        "normal": sweep.Normal,
        "qnormal": sweep.QNormal,
        "lognormal": sweep.LogNormal,
        "qlognormal": sweep.QLogNormal,
    }
    return kinds[distribution.kind](*distribution.arguments)
