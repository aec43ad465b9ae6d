"""The live model and the rollout under way, as the loop's state document keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.loop_config import Task
from services.state_part import ModelRef, Order, Part

Slot = Literal["blue", "green"]


class Champion(Part):
    """The model that is live."""

    run: int
    model: ModelRef
    dataset_version: int
    task: Task
    classes: list[str]
    endpoint: str
    slot: Slot
    scoring_uri: str
    metric: str
    score: float
    promoted: datetime


class Interval(Part):
    """How sure a difference of challenger minus champion is, by a paired bootstrap over images."""

    low: float
    high: float
    better: float
    """Share of the resamples in which the challenger was better."""
    level: float
    resamples: int


RolloutStep = Literal[
    "endpoint",
    "deploy",
    "smoke",
    "evaluate",
    "decide",
    "approve",
    "mirror",
    "canary",
    "shift",
    "keep",
    "revert",
    "retire",
    "abandon",
    "done",
]


class Approval(Part):
    """A person's yes that a rollout waits for."""

    id: str
    """What the link is made for: another rollout's link is none of this one's."""
    asked: datetime
    expires: datetime
    answer: Literal["", "yes", "no"] = ""


class RolloutOrder(Part):
    """A person's word that a run's model goes live, whatever was or will be measured."""

    kind: Literal["promote", "rollback"]
    run: int
    order: Order


class Resting(Part):
    """An endpoint that nobody asked: without its slot (remove), or with one machine (scale)."""

    kind: Literal["remove", "scale"]
    since: datetime
    phase: Literal["falling", "asleep", "waking"] = "falling"
    reason: str = ""
    attempts: int = 0
    """Deployments that were begun to wake it, since the last pause."""
    tried: datetime | None = None
    """When the last of them was begun."""
    paused_until: datetime | None = None
    """When the next deployment may be tried, after some that failed."""


Trouble = Literal["gone", "failed", "traffic", "taken"]
"""What somebody did to the live slot outside of Visionloop: removed or broke it, moved its traffic, took its place."""


class Repair(Part):
    """The live model is being brought back."""

    trouble: Trouble
    since: datetime
    ordered: bool = False
    """Whether a person asked for it, who wants the traffic back too."""
    attempts: int = 0
    """Deployments that were begun for it."""
    asked: int = 0
    """Requests that the slot did not answer since."""
    error: str = ""
    """What Azure ML answered, behind a colon, the last time that it did not take one."""


class Guard(Part):
    """What was found when the live slot was looked at last."""

    looked: datetime | None = None
    trouble: Trouble | None = None
    """What is wrong; null where nothing is."""
    reason: str = ""
    """The same in a sentence, and what is done."""
    since: datetime | None = None
    """When it was found."""
    repair: Repair | None = None
    repaired: list[datetime] = Field(default_factory=list)
    """When the repairs of the last 24 hours were begun."""


class Watched(Part):
    """What a slot did with users' requests while it was watched."""

    requests: int = 0
    errors: int = 0
    p95_ms: float | None = None


class Rollout(Part):
    """The steps that bring one candidate live, or leave the champion as it was."""

    run: int
    model: ModelRef
    dataset_version: int
    endpoint: str
    slot: Slot
    step: RolloutStep = "endpoint"
    scoring_uri: str = ""
    started: datetime
    step_started: datetime
    overdue_since: datetime | None = None
    """When the step was first looked at after its time was over, where it was still not done then."""
    attempts: int = 0
    trouble: str = ""
    """What Azure ML answered, behind a colon, the last time that it did not take what was to be made."""
    evaluated: dict[str, int] = Field(default_factory=dict)
    """Holdout images answered so far by slot."""
    holdout_images: int = 0
    scores: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Metrics on the same holdout by slot."""
    interval: Interval | None = None
    """How sure the difference of the compared metric is, where there was a champion to compare with."""
    latency_ms: dict[str, float] = Field(default_factory=dict)
    """95th percentile of the time that a slot took for one image, by slot."""
    champion_silent: bool = False
    """Whether the champion was asked in vain so often that it is not waited for any more."""
    unopposed: str = ""
    """Why no champion was measured beside the challenger, where none was."""
    decision: str = ""
    replaced: Champion | None = None
    """The champion that was live before, until its slot is deleted."""
    outcome: Literal["", "promoted", "rejected", "failed", "rolled_back"] = ""
    order: RolloutOrder | None = None
    """A person's word that makes approval, comparison and canary needless."""
    approval: Approval | None = None
    held: Order | None = None
    """Who holds the traffic where it is."""
    stage: int = 0
    """Position in the list of canary percentages."""
    mirror: int = 0
    """Percent of the predictions that are copied to the challenger."""
    share: int = 0
    """Percent of the predictions that go to the challenger while it is no champion yet."""
    watching: str = ""
    """Folder in the system container of what the slots do with users' requests; empty while nobody watches."""
    watched_since: datetime | None = None
    watched: dict[str, Watched] = Field(default_factory=dict)
    """What was seen at the last look, by slot."""
