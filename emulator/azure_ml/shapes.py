"""What of a body's properties this emulator reads, and must be as it is read; the rest is kept as it comes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError
from pydantic.alias_generators import to_camel

from emulator.azure_ml.errors import user_error


class Shape(BaseModel):
    """Of any resource."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)
    tags: dict[str, str] | None = None


class Datastore(Shape):
    container_name: str


class Compute(Shape):
    properties: dict[str, Any] = Field(default_factory=dict)


class Endpoint(Shape):
    auth_mode: str
    traffic: dict[str, NonNegativeInt] | None = None


class Deployment(Shape):
    model: str


class _Table(Shape):
    uri: str


class _Limits(Shape):
    max_trials: PositiveInt | None = None
    max_concurrent_trials: PositiveInt | None = None
    timeout: str | None = None
    trial_timeout: str | None = None


class _Policy(Shape):
    policy_type: Literal["Bandit", "MedianStopping", "TruncationSelection"]


class _Sweep(Shape):
    sampling_algorithm: str | None = None
    early_termination: _Policy | None = None


class _Task(Shape):
    task_type: str
    training_data: _Table
    validation_data: _Table
    limit_settings: _Limits | None = None
    sweep_settings: _Sweep | None = None
    model_settings: dict[str, Any] | None = None
    search_space: list[dict[str, Any]] | None = None


class Job(Shape):
    job_type: str
    compute_id: str


class AutoMLJob(Job):
    task_details: _Task


class CommandJob(Job):
    command: str
    code_id: str | None = None
    inputs: dict[str, dict[str, Any]] | None = None
    environment_variables: dict[str, str] | None = None


JOBS: dict[str, type[Job]] = {"AutoML": AutoMLJob, "Command": CommandJob}


def check_shape(properties: dict[str, Any], shape: type[Shape]) -> None:
    """Refuse properties that cannot be read as `shape`.

    Raises:
        AzureError: 400, with the first wrong member and what is wrong with it.
    """
    try:
        shape.model_validate(properties)
    except ValidationError as error:
        first = error.errors()[0]
        raise user_error(f"properties.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
