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
from services.training_state import FINISHED, FailureKind, Preflight, RunStatus, TrainingRun

__all__ = [
    "FINISHED",
    "Approval",
    "Champion",
    "FailureKind",
    "Guard",
    "Interval",
    "ModelRef",
    "Order",
    "Part",
    "Preflight",
    "Repair",
    "Resting",
    "Rollout",
    "RolloutOrder",
    "RolloutStep",
    "RunStatus",
    "Slot",
    "TrainingRun",
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


class InboundNote(Part):
    """What a labelling tool announced and could not be taken; the rest of it is in the blob."""

    name: str
    etag: str
    problems: list[Problem]


UNEXPECTED = "Unexpected "
"""How a stage's reason begins where nobody foresaw its error."""
TRIED_AGAIN = " (tried again in "
"""How the reason of a stage that failed ends, but for the time."""


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
    """What each stage decided last, and why, by its name; `task` says why the loop has the task that it has.

    Of a stage that failed: why, and when it is tried again, until it does not fail.
    """
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

    @property
    def open_rollout(self) -> Rollout | None:
        """The rollout whose outcome is not decided."""
        return self.rollout if self.rollout is not None and not self.rollout.outcome else None

    def run(self, number: int) -> TrainingRun:
        """The run of this number."""
        return next(r for r in self.runs if r.number == number)

    def version(self, number: int) -> DatasetVersion:
        """The dataset version of this number."""
        return next(d for d in self.datasets if d.number == number)
