"""`training` of loop.yaml: when a loop trains, on what, and how."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from services.config_part import Part, Seconds


class FirstThreshold(Part):
    """When the first model is trained."""

    images: int = Field(20, ge=10)
    """Labelled images needed before the first training run; AutoML refuses fewer than 10."""
    per_class: int = Field(5, ge=1)
    """Labelled images needed of every class before the first training run."""


class RetrainThreshold(Part):
    """When the next model is trained: whichever of the two is reached first."""

    new_images: int = Field(50, ge=1)
    """Distinct images labelled since the last training run that start the next one."""
    per_class: int = Field(1, ge=0)
    """Labelled images needed of every class before a next run."""
    growth: float | None = Field(0.25, gt=0)
    """The same as a share of the images of the last training run (0.25: a quarter more); null switches it off."""


class Compute(Part):
    """The Azure ML cluster that trains."""

    name: str = Field("gpu-cluster", pattern=r"^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$")
    """Name of the cluster, not ending with a dash and a number; it is created, scaling to zero, if it is not there."""
    size: str = Field("Standard_NC4as_T4_v3", min_length=1)
    """Virtual machine size of a cluster that has to be created."""
    max_nodes: int = Field(2, ge=1, le=100)
    """Most machines at once of a cluster that has to be created."""
    idle_seconds: int = Field(600, ge=60)
    """How long an idle machine is kept before the cluster scales down to zero."""

    @field_validator("name")
    @classmethod
    def _is_azures(cls, name: str) -> str:
        if name.rpartition("-")[2].isdecimal():
            raise PydanticCustomError(
                "cluster_name", "a name that does not end with a dash and a number, as Azure asks"
            )
        return name


class Budget(Part):
    """What training may cost: no run is started whose estimate, added to what was spent, goes beyond it."""

    gpu_hours_per_month: float = Field(100, ge=0)
    """Most GPU hours in 30 days."""
    money_per_month: float | None = Field(None, ge=0)
    """Most money in 30 days, where the price is known; null: no limit but the GPU hours."""
    price_per_gpu_hour: float | None = Field(None, ge=0)
    """What a GPU costs for an hour; null takes it from the price list by `compute.size`."""
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    """Of the prices; nothing is converted."""


class Retries(Part):
    """When a run is repeated that failed in a way that passes by itself; other failures are not repeated."""

    most: int = Field(2, ge=0, le=10)
    """Most further attempts, each a job of its own within all caps."""
    backoff_seconds: Seconds = 900
    """Least time before the second attempt; doubled before each further one."""


class Limits(Part):
    """What one training run may use."""

    max_trials: int = Field(4, ge=1, le=100)
    """Most trials (models tried) in one run."""
    max_concurrent_trials: int = Field(2, ge=1, le=100)
    """Most trials at the same time."""
    timeout_minutes: int = Field(240, ge=1)
    """The run is ended after this long."""
    trial_timeout_minutes: int = Field(120, ge=1)
    """One trial is ended after this long."""


class EarlyTermination(Part):
    """When a trial is stopped before its end: too far behind the best, below the median, or among the worst."""

    policy: Literal["bandit", "median_stopping", "truncation_selection"] = "bandit"
    """Azure ML's policies: behind the best by slack_factor, below the median, or in the worst truncation_percentage."""
    evaluation_interval: int = Field(2, ge=1)
    """How often, in reported metrics, the policy looks."""
    slack_factor: float = Field(0.2, gt=0)
    """How far behind the best, as a ratio, the bandit policy lets a trial be."""
    truncation_percentage: int = Field(20, ge=1, le=99)
    """Share of the running trials, the worst, that truncation selection stops at each look."""
    delay_evaluation: int = Field(6, ge=0)
    """Reported metrics before the policy looks for the first time."""


class Command(Part):
    """A training script of the user's own, whose files are in `<loop>/code/`."""

    command: str = Field(
        "python train.py --train ${{inputs.train}} --validation ${{inputs.validation}}", min_length=1, max_length=4000
    )
    """What is run in the script's folder, with ${{inputs.train}} and ${{inputs.validation}} for the two tables."""
    environment: str = Field(
        "azureml://registries/azureml/environments/sklearn-1.5/labels/latest", min_length=1, max_length=500
    )
    """Azure ML's environment as azureml:NAME:VERSION, azureml:NAME@latest or azureml://registries/…, or an image."""
    environment_variables: dict[str, str] = Field(default_factory=dict)
    """Told to the script; no place for secrets."""


SearchValue = str | int | float | bool | list[str | int | float]


class Training(Part):
    """How models are trained."""

    first_threshold: FirstThreshold = FirstThreshold()
    """When the first model is trained."""
    retrain_threshold: RetrainThreshold = RetrainThreshold()
    """When the next model is trained."""
    cooldown_seconds: Seconds = 3600
    """Least time between the end of one training run and the start of the next."""
    max_jobs_per_day: int = Field(4, ge=0)
    """Most training runs started in 24 hours."""
    kind: Literal["automl", "command"] = "automl"
    """Who trains: Azure ML's AutoML, or a script of your own as `command` says."""
    command: Command = Command()
    """The script of your own, for kind command."""
    dry_run: bool = False
    """Everything but the job: what would be submitted is told as training.dry_run, once for each decision."""
    retries: Retries = Retries()
    """When a failed run is repeated by itself."""
    budget: Budget = Budget()
    """What training may cost."""
    primary_metric: str | None = None
    """Metric that trials are ranked by; null takes the task's usual one (mean_average_precision, accuracy, iou)."""
    compute: Compute = Compute()
    """The cluster that trains."""
    limits: Limits = Limits()
    """What one run may use."""
    early_termination: EarlyTermination | None = EarlyTermination()
    """When a trial is stopped early; null lets every trial finish."""
    sampling: Literal["random", "grid", "bayesian"] = "random"
    """How the search space is sampled."""
    parameters: dict[str, SearchValue] = Field(default_factory=dict)
    """Fixed training parameters by AutoML's names, such as number_of_epochs: 15."""
    search_space: list[dict[str, SearchValue | str]] = Field(default_factory=list)
    """Parameter spaces to sample; a list is a choice, and text such as uniform(0.001, 0.01) a distribution."""

    @model_validator(mode="after")
    def _fits_automl(self) -> Self:
        from services.errors import ConfigError
        from services.training.checks import check_training

        try:
            check_training(self)
        except ConfigError as error:
            raise PydanticCustomError("training", "{detail}", {"detail": error.detail}) from None
        return self
