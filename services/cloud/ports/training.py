"""What a training run is made of, and what Azure ML shows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from services.distributions import Distribution

JobPhase = Literal["waiting", "running", "completed", "failed", "canceled"]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as Azure ML shows it. `status` is Azure ML's own word, `phase` ours."""

    name: str
    status: str
    phase: JobPhase
    error: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    codes: Sequence[str] = ()
    """Azure ML's codes of the error, the outermost first."""


@dataclass(frozen=True, slots=True)
class TrialError:
    """Why a trial failed; `codes` from the outside in."""

    trial: str
    codes: Sequence[str]
    message: str


@dataclass(frozen=True, slots=True)
class BestChild:
    """The best trial of a finished job."""

    run_id: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of a job: what it tried, and each of its metrics as (step, value), a step being an epoch mostly."""

    name: str
    status: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, Sequence[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class TableAsset:
    """An MLTable data asset: `folder` (in the system container) holds a file named MLTable."""

    name: str
    version: str
    folder: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComputeSpec:
    """An AmlCompute cluster that scales down to zero."""

    name: str
    size: str
    max_nodes: int
    idle_seconds: int


@dataclass(frozen=True, slots=True)
class EarlyTerminationSpec:
    """One of Azure ML's early termination policies."""

    policy: Literal["bandit", "median_stopping", "truncation_selection"]
    evaluation_interval: int
    delay_evaluation: int
    slack_factor: float = 0.2
    """Of the bandit policy."""
    truncation_percentage: int = 20
    """Of truncation selection."""


@dataclass(frozen=True, slots=True)
class AutoMLJobSpec:
    """An AutoML-for-Images job; `train` and `validation` are data assets as `name:version`."""

    name: str
    experiment: str
    task: str
    train: str
    validation: str
    compute: str
    primary_metric: str
    max_trials: int
    max_concurrent_trials: int
    timeout_minutes: int
    trial_timeout_minutes: int
    sampling: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    search_space: Sequence[Mapping[str, Distribution]] = ()
    early_termination: EarlyTerminationSpec | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CommandJobSpec:
    """A job that runs the user's own script; `inputs` are data assets as `name:version`, by their name in `command`."""

    name: str
    experiment: str
    command: str
    environment: str
    """As `azureml:…`, or the address of a container image."""
    inputs: Mapping[str, str]
    compute: str
    timeout_minutes: int
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
