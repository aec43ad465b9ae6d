"""`state/<loop>.json`: the one small document that says where a loop stands."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from services.loop_config import LoopConfig, Task
from services.rollout_state import (
    Approval,
    Champion,
    Guard,
    Interval,
    Repair,
    Resting,
    Rollout,
    RolloutOrder,
    RolloutStep,
    Slot,
    Trouble,
    Watched,
)
from services.state_part import ModelRef, Order, Part

__all__ = [
    "Approval",
    "Champion",
    "Guard",
    "Interval",
    "ModelRef",
    "Order",
    "Part",
    "Repair",
    "Resting",
    "Rollout",
    "RolloutOrder",
    "RolloutStep",
    "Slot",
    "Trouble",
    "Watched",
]
"""What other files define and this one is the door to."""


class Event(Part):
    """A CloudEvent 1.0: the same object on the timeline, in a webhook and on the status page."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: dict[str, Any]


class Problem(Part):
    """One skipped, quarantined or refused thing, as a person reads it."""

    code: str
    severity: Literal["error", "warning", "note"] = "error"
    file: str
    place: str = ""
    expected: str = ""
    found: str = ""
    help: str = ""


class ConfigState(Part):
    """The last good loop.yaml, and what is wrong with the newest where it is bad."""

    etag: str = ""
    config: LoopConfig = LoopConfig()
    problems: list[Problem] = Field(default_factory=list)


class CatalogueState(Part):
    """A summary of the catalogue, whose blobs are referred to by content hash."""

    fingerprint: str = ""
    """Hash over name and ETag of every listed blob: equal means that nothing changed."""
    code_digest: str = ""
    """Hash over the files of the user's own training script; empty where there are none."""
    blob: str = ""
    images: int = 0
    labelled: int = 0
    """Images of the dataset, negatives included."""
    negatives: int = 0
    """Images that are labelled as holding no object."""
    train_images: int = 0
    validation_images: int = 0
    waiting_labels: int = 0
    quarantined: int = 0
    annotations_per_class: dict[str, int] = Field(default_factory=dict)
    images_per_class: dict[str, int] = Field(default_factory=dict)
    task: Task | None = None
    classes: list[str] = Field(default_factory=list)
    content_hash: str = ""
    """Hash over what a dataset version would hold now."""
    first_change: datetime | None = None
    """When the oldest change that no dataset version holds yet was made."""
    last_change: datetime | None = None
    problems: list[Problem] = Field(default_factory=list)
    """The first hundred; `problem_count` has all."""
    problem_count: int = 0
    dataset_problems: list[Problem] = Field(default_factory=list)
    """What is to be said of the data set as a whole, such as a class with too few images."""


class VersionDiff(Part):
    """How many images differ between a dataset version and the one before; which they are is in its `diff.json`."""

    before: int | None = None
    """The version that was current before; null for the first, whose images are all added."""
    added: int = 0
    changed: int = 0
    """Images of the same name with other bytes."""
    removed: int = 0
    relabelled: int = 0
    """Images of the same bytes with other labels."""
    renamed: int = 0
    """Images of the same bytes under another name."""


class DatasetVersion(Part):
    """An immutable snapshot, registered as two Azure ML data assets (train and validation)."""

    number: int
    content_hash: str
    status: Literal["registering", "registered", "archiving"] = "registering"
    task: Task
    classes: list[str]
    folder: str
    """Folder in the system container: `datasets/<loop>/<number>-<hash>/`."""
    train_asset: str
    """Azure ML data asset as `name:version`."""
    validation_asset: str
    train_images: int
    validation_images: int
    annotations_per_class: dict[str, int]
    images_per_class: dict[str, int]
    new_since_trained: int
    """Distinct images labelled, or labelled anew, since the version last trained on."""
    created: datetime
    diff: VersionDiff | None = None
    """What changed since the version before; null where the files of that one were gone."""
    label_files: dict[str, int] = Field(default_factory=dict)
    """Label files that it was made of, by format."""

    @property
    def images(self) -> int:
        """Images in both splits."""
        return self.train_images + self.validation_images


RunStatus = Literal["intended", "submitted", "completed", "failed", "canceled"]
FINISHED: frozenset[RunStatus] = frozenset({"completed", "failed", "canceled"})


FailureKind = Literal[
    "access", "quota", "capacity", "bad_data", "user_script", "timeout", "transient", "cancelled", "deleted", "unknown"
]


class TrainingRun(Part):
    """One paid job on one dataset version; its name is derived from the hash of both."""

    number: int
    job: str
    dataset_version: int
    config_hash: str
    status: RunStatus = "intended"
    attempt: int = 1
    """How often this content was trained with these settings, this run included; each attempt has a job of its own."""
    asked: Order | None = None
    """Who asked for the run, where a person did."""
    cancel: Order | None = None
    """Who asked to cancel the run."""
    machines: int = 1
    """Machines that the run may use at once: its machine hours are its duration times these."""
    gpus: int = 1
    """GPUs of one machine."""
    price_per_gpu_hour: float | None = None
    currency: str = "USD"
    estimated_gpu_hours: float | None = None
    gpu_hours: float | None = None
    """What the run used at most: its duration times its machines and their GPUs. Null until it ends."""
    cost: float | None = None
    """The same in money, where the price is known."""
    timeout_minutes: int | None = None
    """How long Azure ML lets the job run."""
    phase: str = ""
    """Azure ML's own word for where the job is."""
    intended: datetime
    submitted: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    reason: str = ""
    waiting: str = ""
    """Why the job waits for long, for a machine or to be taken, where it does."""
    silent_since: datetime | None = None
    """When it was submitted for the last time, where no answer came: the job may still show."""
    failure: FailureKind | None = None
    """Why it has no model, where it has none."""
    help: str = ""
    """What to do about the failure."""
    best_child: str = ""
    metrics: dict[str, float] = Field(default_factory=dict)
    model: ModelRef | None = None
    rollout: Literal["", "pending", "promoted", "rejected", "failed", "rolled_back", "superseded"] = ""
    went_live: datetime | None = None
    """When its model became champion last: a person may bring an older run's model live after a newer one's."""

    @property
    def active(self) -> bool:
        """Whether the job is, or may be, costing money."""
        return self.status not in FINISHED


class Preflight(Part):
    """What was found wrong the last time that a run was about to be submitted."""

    key: str
    """What would have been trained, how, and on which cluster."""
    at: datetime
    problems: list[str]


class InboundNote(Part):
    """What a labelling tool announced and could not be taken; the rest of it is in the blob."""

    name: str
    etag: str
    problems: list[Problem]


class LoopState(Part):
    """Everything that must be remembered of a loop; what can be observed is not in here."""

    loop: str
    schema_version: int = 1
    sequence: int = 0
    """Number of the newest event: ids are `<loop>-<sequence>`."""
    created: datetime
    config: ConfigState = Field(default_factory=ConfigState)
    catalogue: CatalogueState = Field(default_factory=CatalogueState)
    datasets: list[DatasetVersion] = Field(default_factory=list)
    runs: list[TrainingRun] = Field(default_factory=list)
    champion: Champion | None = None
    rollout: Rollout | None = None
    rollout_next: RolloutOrder | None = None
    """A rollout that a person asked for, until it begins."""
    resting: Resting | None = None
    """While the endpoint rests, as nobody asks it."""
    awake_since: datetime | None = None
    """From when on predictions are missed, where the endpoint may rest."""
    last_prediction: datetime | None = None
    """When a prediction was asked for last, within ten minutes."""
    guard: Guard = Field(default_factory=Guard)
    """Whether the live slot is as it was left."""
    pause: Order | None = None
    """Who paused the loop over HTTP; `paused` in loop.yaml is another matter."""
    train_now: Order | None = None
    """Who asked for a training run whatever the thresholds, until it starts or has nothing to train."""
    preflight: Preflight | None = None
    """Why the last run that was decided was not submitted, until it is looked at again."""
    rehearsed: str = ""
    """What a dry run was told of last, by the key that preflights have too."""
    commands: dict[str, str] = Field(default_factory=dict)
    """ETag of the newest command of each name that was carried out."""
    inbound: list[InboundNote] = Field(default_factory=list)
    """What labelling tools announced and could not be taken."""
    reasons: dict[str, str] = Field(default_factory=dict)
    """What each stage decided last, and why: `dataset`, `training`, `rollout`."""
    outbox: list[Event] = Field(default_factory=list)
    """Events whose state is durable and that are yet to be told."""
    next_wake: datetime | None = None
    """When the wake that is on the queue is due."""

    @property
    def dataset(self) -> DatasetVersion | None:
        """The newest dataset version that is registered."""
        return next((d for d in reversed(self.datasets) if d.status == "registered"), None)

    @property
    def paused(self) -> str:
        """Why nothing new is started; empty where the loop is not paused."""
        if self.config.config.paused:
            return "The loop is paused in loop.yaml"
        return f"The loop is paused{self.pause.signed}" if self.pause else ""

    @property
    def active_run(self) -> TrainingRun | None:
        """The run that is under way."""
        return next((r for r in reversed(self.runs) if r.active), None)

    def run(self, number: int) -> TrainingRun:
        """The run of this number."""
        return next(r for r in self.runs if r.number == number)

    def version(self, number: int) -> DatasetVersion:
        """The dataset version of this number."""
        return next(d for d in self.datasets if d.number == number)
