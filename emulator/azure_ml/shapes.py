"""What of a body's properties this emulator reads, and must be as it is read; the rest is kept as it comes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError
from pydantic import model_validator as validator
from pydantic.alias_generators import to_camel

from emulator.azure_ml.errors import user_error
from emulator.azure_ml.sweep import duration_seconds


def _duration(text: str) -> str:
    duration_seconds(text, 0)
    return text


Duration = Annotated[str, AfterValidator(_duration)]
MOST_TIMEOUT_SECONDS, MOST_INSTANCES = 180, 50
"""https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas."""
Percent = Annotated[int, Field(ge=0, le=100)]


class Shape(BaseModel):
    """Of any resource."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)
    tags: dict[str, str] | None = None


class Datastore(Shape):
    datastore_type: Literal["AzureBlob"]
    container_name: str = Field(min_length=3, max_length=63)


class Data(Shape):
    data_uri: str
    data_type: Literal["mltable", "uri_file", "uri_folder"]


class Model(Shape):
    model_uri: str


class _Scale(Shape):
    min_node_count: NonNegativeInt = 0
    max_node_count: NonNegativeInt
    node_idle_time_before_scale_down: Duration | None = None

    @validator(mode="after")
    def _ordered(self) -> _Scale:
        if self.min_node_count > self.max_node_count:
            raise ValueError("minNodeCount is more than maxNodeCount")
        return self


class _Nodes(Shape):
    scale_settings: _Scale | None = None


class Compute(Shape):
    compute_type: Literal["AmlCompute"]
    properties: _Nodes | None = None


class Endpoint(Shape):
    auth_mode: Literal["Key", "AMLToken", "AADToken"]
    traffic: dict[str, Percent] | None = None


def _waited(text: str) -> str:
    if duration_seconds(text, 0) > MOST_TIMEOUT_SECONDS:
        raise ValueError(f"more than {MOST_TIMEOUT_SECONDS} s")
    return text


class _RequestSettings(Shape):
    max_concurrent_requests_per_instance: PositiveInt | None = None
    request_timeout: Annotated[Duration, AfterValidator(_waited)] | None = None


class Deployment(Shape):
    model: str
    request_settings: _RequestSettings | None = None


class Sku(Shape):
    capacity: Annotated[int, Field(ge=1, le=MOST_INSTANCES)] | None = None


class _Table(Shape):
    uri: str


class _Limits(Shape):
    max_trials: Annotated[int, Field(ge=1, le=1000)] | None = None
    max_concurrent_trials: Annotated[int, Field(ge=1, le=100)] | None = None
    timeout: Duration | None = None
    trial_timeout: Duration | None = None


class _Policy(Shape):
    policy_type: Literal["Bandit", "MedianStopping", "TruncationSelection"]


class _Sweep(Shape):
    sampling_algorithm: Literal["Random", "Grid", "Bayesian"] | None = None
    early_termination: _Policy | None = None


class _Task(Shape):
    task_type: str
    training_data: _Table
    validation_data: _Table
    limit_settings: _Limits | None = None
    sweep_settings: _Sweep | None = None
    model_settings: dict[str, Any] | None = None
    search_space: list[dict[str, str | None]] | None = None


class Job(Shape):
    job_type: str
    compute_id: str


class AutoMLJob(Job):
    task_details: _Task


class _CommandLimits(Shape):
    timeout: Duration | None = None


class CommandJob(Job):
    command: str
    limits: _CommandLimits | None = None
    code_id: str | None = None
    inputs: dict[str, dict[str, Any]] | None = None
    environment_variables: dict[str, str] | None = None


class RunNotes(Shape):
    """A run history's run, of which only notes change."""

    hidden: bool | None = None
    display_name: str | None = None
    description: str | None = None


JOBS: dict[str, type[Job]] = {"AutoML": AutoMLJob, "Command": CommandJob}


def check_shape(found: dict[str, Any], shape: type[Shape], place: str = "properties") -> None:
    """Refuse a part of a body that cannot be read as `shape`.

    Raises:
        AzureError: 400, with the first wrong member and what is wrong with it.
    """
    try:
        shape.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        raise user_error(f"{'.'.join(map(str, (place, *first['loc'])))}: {first['msg']}") from None
