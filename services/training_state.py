"""Training runs, as the loop's state document keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.state_part import ModelRef, Order, Part

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
    images: int = 0
    """Of the dataset version; 0 in documents of an earlier version of the app."""
    pace: str = ""
    """Hash of the settings that its duration depends on: runs of one pace and as many images take about as long."""
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
