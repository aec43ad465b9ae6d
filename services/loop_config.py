"""`loop.yaml`: what a user may say of a loop. Every field has a default and a sentence."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Coordinates = Literal["auto", "pixels", "normalised"]
Task = Literal["object_detection", "image_classification", "image_classification_multilabel", "instance_segmentation"]
Seconds = Annotated[float, Field(ge=0, le=30 * 24 * 3600)]
ClassName = Annotated[str, Field(min_length=1, max_length=256)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class FirstThreshold(_Part):
    """When the first model is trained."""

    images: int = Field(20, ge=10)
    """Labelled images needed before the first training run; AutoML refuses fewer than 10."""
    per_class: int = Field(5, ge=1)
    """Labelled images needed of every class before the first training run."""


class RetrainThreshold(_Part):
    """When the next model is trained: whichever of the two is reached first."""

    new_images: int = Field(50, ge=1)
    """Distinct images labelled since the last training run that start the next one."""
    per_class: int = Field(1, ge=0)
    """Labelled images needed of every class before a next run."""
    growth: float | None = Field(0.25, gt=0)
    """The same as a share of the images of the last training run (0.25: a quarter more); null switches it off."""


class Compute(_Part):
    """The Azure ML cluster that trains."""

    name: str = Field("gpu-cluster", pattern=r"^[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]$")
    """Name of the cluster; it is created, scaling to zero, if it does not exist."""
    size: str = Field("Standard_NC4as_T4_v3", min_length=1)
    """Virtual machine size of a cluster that has to be created."""
    max_nodes: int = Field(2, ge=1, le=100)
    """Most machines at once of a cluster that has to be created."""
    idle_seconds: int = Field(600, ge=60)
    """How long an idle machine is kept before the cluster scales down to zero."""


class Budget(_Part):
    """What training may cost: no run is started whose estimate, added to what was spent, goes beyond it."""

    gpu_hours_per_month: float = Field(100, ge=0)
    """Most GPU hours in 30 days."""
    money_per_month: float | None = Field(None, ge=0)
    """Most money in 30 days, where the price is known; null: no limit but the GPU hours."""
    price_per_gpu_hour: float | None = Field(None, ge=0)
    """What a GPU costs for an hour; null takes it from the price list by `compute.size`."""
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    """Of the prices; nothing is converted."""


class Retries(_Part):
    """When a run is repeated that failed in a way that passes by itself; other failures are not repeated."""

    most: int = Field(2, ge=0, le=10)
    """Most further attempts, each a job of its own within all caps."""
    backoff_seconds: Seconds = 900
    """Least time before the second attempt; doubled before each further one."""


class Limits(_Part):
    """What one training run may use."""

    max_trials: int = Field(4, ge=1, le=100)
    """Most trials (models tried) in one run."""
    max_concurrent_trials: int = Field(2, ge=1, le=100)
    """Most trials at the same time."""
    timeout_minutes: int = Field(240, ge=1)
    """The run is ended after this long."""
    trial_timeout_minutes: int = Field(120, ge=1)
    """One trial is ended after this long."""


class EarlyTermination(_Part):
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


class Command(_Part):
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


class Training(_Part):
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


class Promotion(_Part):
    """When a challenger becomes champion."""

    metric: Literal["mean_average_precision", "map50", "accuracy", "macro_f1", "iou"] | None = None
    """Metric compared on the holdout; null takes the task's usual one."""
    margin: float = Field(0.0, ge=0, le=1)
    """How much better than the champion a challenger must be."""
    minimum: float = Field(0.0, ge=0, le=1)
    """The least a first champion must reach."""
    class_floors: dict[ClassName, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """The least a challenger must reach of a class, in the compared metric or else its F1; "*" is every class."""
    max_latency_ms: float | None = Field(None, gt=0)
    """The most that 95 of 100 single images may take through the challenger's slot, in milliseconds."""
    require_significance: bool = False
    """Promote only where the bootstrap interval of the difference lies above 0: where it is more than noise."""
    approval: Literal["none", "required"] = "none"
    """Whether a person has to say yes before traffic moves, by the link in the event rollout.approval_requested."""
    approval_hours: float = Field(72, gt=0, le=168)
    """How long the link holds; without an answer by then the challenger is rejected."""


class Health(_Part):
    """What a challenger must not do while its users are watched; a breach takes its traffic back."""

    min_requests: int = Field(20, ge=1)
    """Requests of a slot before it is judged."""
    max_error_rate: float = Field(0.05, ge=0, le=1)
    """How much larger a share of requests may fail than of the champion's."""
    max_latency_ratio: float = Field(2.0, ge=1)
    """How many times the champion's 95th percentile of latency the challenger's may be."""


class RolloutPolicy(_Part):
    """How traffic moves to a challenger that was found better."""

    mirror: int = Field(0, ge=0, le=50)
    """Percent of the predictions that are copied to the challenger for `bake_seconds`, before it answers anybody."""
    canary: list[Annotated[int, Field(ge=1, le=99)]] = Field(default_factory=list, max_length=10)
    """Percentages that the challenger gets one after the other before it gets all, such as [10, 50]."""
    bake_seconds: float = Field(600, ge=0, le=24 * 3600)
    """How long each percentage is watched."""
    rollback_window_minutes: float = Field(0, ge=0, le=7 * 24 * 60)
    """How long the old slot is kept, and paid, after the traffic moved, for a rollback within seconds."""
    health: Health = Health()
    """What a challenger must not do while its users are watched."""

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.canary)):
            raise PydanticCustomError("canary", "percentages that grow")
        return self


class Endpoint(_Part):
    """The online endpoint that serves the loop."""

    name: str | None = Field(None, pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")
    """Name of the endpoint; null derives one from the loop's name."""
    kind: Literal["managed", "kubernetes"] = "managed"
    """Machines that Azure ML manages, or a Kubernetes cluster that is attached to the workspace."""
    compute: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]$")
    """Name of the attached cluster, for kind kubernetes."""
    instance_type: str | None = None
    """Virtual machine size of a slot, null takes Standard_DS3_v2; on Kubernetes the cluster's instance type."""
    instance_count: int = Field(1, ge=1, le=20)
    """Machines of a slot."""
    request_timeout_seconds: int = Field(90, ge=1, le=180)
    """How long the endpoint may take for one request."""
    max_concurrent_requests: int = Field(16, ge=1, le=64)
    """Requests that one machine takes at once; Azure refuses what exceeds it, and as many that wait, with 429."""
    idle_after_hours: float | None = Field(None, ge=0.1, le=24 * 365)
    """Let the endpoint rest after so many hours without a prediction; null keeps it up, and paid, always."""
    idle: Literal["remove", "scale"] = "remove"
    """How it rests: without its slot, waking takes minutes; or with one machine instead of `instance_count`."""
    repair: Literal["none", "lost", "all"] = "lost"
    """What others changed: `lost` brings back a slot that is gone or failed, `all` also moved traffic, `none` tells."""
    wake_at: list[Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]] = Field(
        default_factory=list, max_length=24
    )
    """Times of day, in UTC, at which an endpoint that rests is woken, such as ["07:30"]."""

    @property
    def cluster(self) -> str:
        """The attached cluster; empty for a managed endpoint."""
        return (self.compute or "") if self.kind == "kubernetes" else ""

    @property
    def machine(self) -> str:
        """The size of a slot's machines; empty for the cluster's own default."""
        return self.instance_type or ("" if self.kind == "kubernetes" else "Standard_DS3_v2")

    @model_validator(mode="after")
    def _has_a_cluster(self) -> Self:
        if self.kind == "kubernetes" and not self.compute:
            raise PydanticCustomError("endpoint", "compute, the name of the attached cluster, for kind kubernetes")
        return self


class LabelFiles(_Part):
    """How label files are read where their format leaves something open."""

    coordinates: Coordinates = "auto"
    """Unit of COCO's and CSV's boxes: pixels, or shares of the image; auto goes by what can be proven of each file."""


class Capture(_Part):
    """Which predictions' images are kept for people to label: those that the model is unsure about."""

    share: float = Field(0.0, ge=0, le=1)
    """Share of the unsure predictions whose image is kept; 0 keeps none."""
    floor: float = Field(0.2, ge=0, le=1)
    """Detection: a box is unsure from this score on, and noise below it."""
    below: float = Field(0.6, ge=0, le=1)
    """Detection: a box is sure from this score on."""
    margin: float = Field(0.2, gt=0, le=1)
    """Classification: unsure where the best two are closer than this; several: where one is this close to 0.5."""
    classes: list[ClassName] = Field(default_factory=list, max_length=1000)
    """Only where one of these is in doubt; empty: any."""
    per_hour: int = Field(20, ge=1, le=10_000)
    """Images kept an hour, at most."""
    per_day: int = Field(100, ge=1, le=100_000)
    """Images kept a day (UTC), at most."""
    retention_days: float = Field(30, gt=0, le=3650)
    """After so many days an image that nobody has labelled is deleted."""

    @model_validator(mode="after")
    def _floor_is_lower(self) -> Self:
        if self.floor >= self.below:
            raise PydanticCustomError("capture", "a floor that is lower than below")
        return self


class Retention(_Part):
    """How long what the loop made is kept."""

    dataset_versions: int = Field(0, ge=0, le=10_000)
    """Dataset versions kept beside those that a run, a rollout or the champion goes by; 0 keeps all."""


class LoopConfig(_Part):
    """A loop's policy, as `<loop>/loop.yaml` in the data container."""

    task: Task | None = None
    """What is learnt; null infers it from the labels."""
    classes: list[ClassName] | None = Field(None, max_length=1000)
    """The classes; null takes those in the labels. Labels of other classes are quarantined."""
    labels: LabelFiles = LabelFiles()
    """How label files are read."""
    quiet_period_seconds: Seconds = 60
    """A dataset version waits until nothing was uploaded for this long, so that a burst makes one version."""
    max_wait_seconds: Seconds = 900
    """A dataset version is made after this long even while uploads go on."""
    validation_share: float = Field(0.2, gt=0, lt=0.9)
    """Share of labelled images kept for validation."""
    training: Training = Training()
    """How models are trained."""
    promotion: Promotion = Promotion()
    """When a challenger becomes champion."""
    rollout: RolloutPolicy = RolloutPolicy()
    """How traffic moves to a challenger that was found better."""
    endpoint: Endpoint = Endpoint()
    """The endpoint that serves."""
    capture: Capture = Capture()
    """Which predictions' images are kept for people to label."""
    retention: Retention = Retention()
    """How long what the loop made is kept."""
    paused: bool = False
    """A paused loop reads labels but starts no registration, no training and no rollout; what runs is followed."""
