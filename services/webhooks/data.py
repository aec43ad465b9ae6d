"""What the `data` of each kind of event holds; the published JSON Schemas are made of these."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from services.loop_config import Task
from services.rollout_state import Interval, RolloutStep, Slot, Trouble, Watched
from services.state import FailureKind, Problem, VersionDiff

Metrics = dict[str, float]
Scores = Annotated[dict[Slot, Metrics], Field(description="Metrics on the same holdout, by slot")]
Seen = Annotated[dict[Slot, Watched], Field(description="What slots did with users' requests while they were watched")]


class Told(TypedDict):
    """In every event."""

    loop: Annotated[str, Field(description="The loop's name; empty where the event is of none")]
    reason: Annotated[str, Field(description="A sentence for people")]


class Signed(Told):
    by: Annotated[str, Field(description="Who asked, as they call themselves")]
    why: str


class OfRun(Told):
    run: Annotated[int, Field(description="The training run's number")]


class ConfigChanged(Told):
    fields: Annotated[list[str], Field(description="Members of loop.yaml at its top")]


class ConfigRejected(Told):
    problems: list[Problem]


class TaskInferred(Told):
    task: Task
    classes: list[str]


class CatalogueProblems(Told):
    count: Annotated[int, Field(description="All that are known now")]
    new: Annotated[int, Field(description="Those that were not told before")]
    problems: Annotated[list[Problem], Field(description="The first of the new ones")]


class DatasetRegistered(Told):
    number: int
    content_hash: str
    task: Task
    classes: list[str]
    train_asset: Annotated[str, Field(description="Azure ML data asset as name:version")]
    validation_asset: str
    train_images: int
    validation_images: int
    annotations_per_class: dict[str, int]
    images_per_class: dict[str, int]
    new_since_trained: int
    created: datetime
    diff: VersionDiff | None
    label_files: Annotated[dict[str, int], Field(description="Label files that it was made of, by format")]
    problems: Annotated[int, Field(description="How many there are in the catalogue")]


class DatasetArchived(Told):
    number: int
    parts_deleted: int


class Estimated(Told):
    estimated_gpu_hours: float | None
    estimated_cost: float | None
    currency: str


class OfJob(OfRun, Estimated):
    job: Annotated[str, Field(description="Its name in Azure ML")]
    attempt: int
    gpu_hours: NotRequired[Annotated[float, Field(description="Once the run has ended")]]
    cost: NotRequired[float | None]


class TrainingStarted(OfJob):
    dataset_version: int


class TrainingWaiting(OfJob):
    failure: NotRequired[FailureKind]
    help: NotRequired[str]


class TrainingCompleted(OfJob):
    metrics: Metrics


class TrainingFailed(OfJob):
    dataset_version: int
    failure: FailureKind
    help: Annotated[str, Field(description="What to do about it")]


class TrainingDryRun(Estimated):
    job: str
    parameters: Annotated[dict[str, Any], Field(description="What would have been sent to Azure ML")]


class TrainingRequested(Signed):
    again: bool


class TrainingCanceling(Signed):
    run: int
    job: str


class TrainingHeld(Told):
    rule: str


class ModelRegistered(OfRun):
    model: str
    version: str


class RolloutStarted(OfRun):
    endpoint: str


class RolloutEvaluated(OfRun):
    challenger: Slot
    scores: Scores
    latency_ms: dict[Slot, float]
    interval: Interval | None
    per_class: dict[str, Metrics]
    result: Annotated[str, Field(description="Blob of the system container that has all of it")]


class RolloutApprovalRequested(OfRun):
    scores: Scores
    expires: datetime
    url: str


class RolloutOrdered(Told):
    word: Literal["promote", "rollback", "hold", "resume", "approve", "refuse"]
    run: int | None
    by: str
    why: NotRequired[str]


class RolloutCanary(OfRun):
    percent: int


class RolloutPromoted(OfRun):
    slot: Slot
    metric: str
    scores: Scores


class RolloutFailed(OfRun):
    step: RolloutStep
    scores: Scores
    watched: NotRequired[Seen]


class RolloutRejected(OfRun):
    step: NotRequired[RolloutStep]
    scores: NotRequired[Scores]
    watched: NotRequired[Seen]
    superseded_by: NotRequired[Annotated[int, Field(description="The run that came before its rollout began")]]


class RolloutRolledBack(OfRun):
    step: RolloutStep
    watched: Seen
    scores: NotRequired[Scores]
    to: NotRequired[Annotated[int, Field(description="The run whose model is live again")]]


class EndpointAsleep(OfRun):
    endpoint: str
    idle: Literal["remove", "scale"]


class EndpointAwake(OfRun):
    endpoint: str
    hours: Annotated[float, Field(description="That it rested")]


class OfSlot(OfRun):
    endpoint: str
    slot: Slot
    trouble: Annotated[Trouble, Field(description="What somebody did to it outside of Visionloop")]


class EndpointLost(OfSlot):
    repairs: Annotated[bool, Field(description="Whether it is being brought back now")]


class EndpointRestored(OfSlot):
    hours: Annotated[float, Field(description="From when it was found until it was well again")]


class PredictionDone(Told):
    prediction: str
    status: Annotated[int, Field(description="Of HTTP: 200 where it is made")]
    path: Annotated[str, Field(description="Where it can be got")]


class InboundFailed(Told):
    inbound: Annotated[str, Field(description="Id of the source")]
    problem: NotRequired[Problem]


class LoopError(Told):
    stage: str


class WebhookDisabled(Told):
    webhook: str
    url: str


DATA: Mapping[str, type[Any]] = {
    "config.changed": ConfigChanged,
    "config.rejected": ConfigRejected,
    "task.inferred": TaskInferred,
    "catalogue.problems": CatalogueProblems,
    "dataset.registered": DatasetRegistered,
    "dataset.archived": DatasetArchived,
    "training.started": TrainingStarted,
    "training.waiting": TrainingWaiting,
    "training.completed": TrainingCompleted,
    "training.failed": TrainingFailed,
    "training.dry_run": TrainingDryRun,
    "training.requested": TrainingRequested,
    "training.canceling": TrainingCanceling,
    "training.canceled": TrainingStarted,
    "training.held": TrainingHeld,
    "model.registered": ModelRegistered,
    "rollout.started": RolloutStarted,
    "rollout.evaluated": RolloutEvaluated,
    "rollout.approval_requested": RolloutApprovalRequested,
    "rollout.ordered": RolloutOrdered,
    "rollout.mirror": OfRun,
    "rollout.canary": RolloutCanary,
    "rollout.promoted": RolloutPromoted,
    "rollout.rejected": RolloutRejected,
    "rollout.failed": RolloutFailed,
    "rollout.rolled_back": RolloutRolledBack,
    "loop.paused": Signed,
    "loop.resumed": Signed,
    "endpoint.asleep": EndpointAsleep,
    "endpoint.awake": EndpointAwake,
    "endpoint.lost": EndpointLost,
    "endpoint.restored": EndpointRestored,
    "prediction.done": PredictionDone,
    "inbound.failed": InboundFailed,
    "loop.error": LoopError,
    "webhook.disabled": WebhookDisabled,
    "webhook.test": Told,
}
"""By the kinds of kinds.py."""
