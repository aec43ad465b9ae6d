"""The steps of a rollout as a table, what each may take, and which candidate is rolled out next.

docs/rollout.md draws this table; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from services.state import LoopState, Rollout, RolloutStep, Slot, TrainingRun
from services.words import shares

Outcome = Literal[
    "ready",
    "deployed",
    "answered",
    "measured",
    "better",
    "not better",
    "approved",
    "refused",
    "mirrored",
    "baked",
    "shifted",
    "kept",
    "rolled back",
    "reverted",
    "failed",
    "cleaned",
]

TRANSITIONS: Mapping[RolloutStep, Mapping[Outcome, RolloutStep]] = {
    "endpoint": {"ready": "deploy", "rolled back": "abandon", "failed": "abandon"},
    "deploy": {"deployed": "smoke", "rolled back": "abandon", "failed": "abandon"},
    "smoke": {"answered": "evaluate", "rolled back": "abandon", "failed": "abandon"},
    "evaluate": {"measured": "decide", "rolled back": "abandon", "failed": "abandon"},
    "decide": {"better": "approve", "not better": "abandon", "rolled back": "abandon", "failed": "abandon"},
    "approve": {"approved": "mirror", "refused": "abandon", "rolled back": "abandon", "failed": "abandon"},
    "mirror": {"mirrored": "canary", "rolled back": "abandon", "failed": "abandon"},
    "canary": {"baked": "shift", "rolled back": "abandon", "failed": "abandon"},
    "shift": {"shifted": "keep", "rolled back": "abandon", "failed": "abandon"},
    "keep": {"kept": "retire", "rolled back": "revert"},
    "revert": {"reverted": "abandon", "failed": "retire"},
    "retire": {"cleaned": "done"},
    "abandon": {"cleaned": "done"},
    "done": {},
}
"""Only `decide` leads on to traffic, and only `smoke` to `evaluate`: none reaches a slot that never answered.

Every step is taken; one that loop.yaml does not ask for (approve, mirror, canary, keep) has its outcome at once.
"""

CANCELLABLE: frozenset[RolloutStep] = frozenset(
    {"endpoint", "deploy", "smoke", "evaluate", "decide", "approve", "mirror", "canary", "shift"}
)
"""Steps before the challenger is champion."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a step may take: the time it may last, and how often its call is begun or may fail in a row."""

    lasts: timedelta
    attempts: int | None = None


LIMITS: Mapping[RolloutStep, Limit] = {
    "endpoint": Limit(timedelta(minutes=30), 3),
    "deploy": Limit(timedelta(minutes=90), 2),
    "smoke": Limit(timedelta(minutes=20), 10),
    "evaluate": Limit(timedelta(hours=6), 10),
    "decide": Limit(timedelta(hours=1)),
    "approve": Limit(timedelta(hours=170)),
    "mirror": Limit(timedelta(hours=25)),
    "canary": Limit(timedelta(hours=25), 3),
    "shift": Limit(timedelta(minutes=20), 3),
    "keep": Limit(timedelta(hours=170)),
    "revert": Limit(timedelta(minutes=30), 5),
    "retire": Limit(timedelta(hours=2)),
    "abandon": Limit(timedelta(hours=2)),
}

GRACE = timedelta(minutes=5)
"""An overdue step has so long from the next look on: nobody may have looked while the app was down."""

SLOTS: tuple[Slot, Slot] = ("blue", "green")


def next_step(step: RolloutStep, outcome: Outcome) -> RolloutStep:
    """Where an outcome leads.

    Raises:
        ValueError: the step has no such outcome.
    """
    if outcome not in TRANSITIONS[step]:
        raise ValueError(f"{step} has no outcome {outcome}")
    return TRANSITIONS[step][outcome]


def overdue(rollout: Rollout, now: datetime) -> str:
    """Why the step has to end, where it has lasted too long; empty while it may go on, or is held by a person."""
    if rollout.held is not None:
        return ""
    lasts = LIMITS[rollout.step].lasts
    late = now - rollout.step_started > lasts
    return f"step {rollout.step} has lasted more than {lasts.total_seconds() / 60:.0f} minutes" if late else ""


def given_up(rollout: Rollout, now: datetime) -> str:
    """Why the step is given up, where it is overdue and its grace is over; empty while it may go on."""
    since = rollout.overdue_since
    return overdue(rollout, now) if since is not None and now - since >= GRACE else ""


def may_try(rollout: Rollout) -> bool:
    """Whether the step's call may be made once more."""
    limit = LIMITS[rollout.step].attempts
    return limit is None or rollout.attempts < limit


@dataclass(frozen=True, slots=True)
class Candidates:
    """The run whose model is rolled out next, and older ones that it supersedes."""

    next: TrainingRun | None
    superseded: Sequence[TrainingRun]


def candidates(state: LoopState) -> Candidates:
    """The newest waiting candidate goes; older waiting ones are superseded.

    A rollout under way is never superseded: were it, trainings that are faster than rollouts would keep every model
    from going live. Its own run is no candidate, nor is any while the loop is paused.
    """
    current = state.rollout.run if state.rollout and state.rollout.step != "done" else None
    waiting = [r for r in state.runs if r.rollout == "pending" and r.number != current]
    free = current is None and state.rollout_next is None and not state.paused
    newest = max(waiting, key=lambda r: r.number, default=None)
    return Candidates(newest if free else None, [r for r in waiting if r is not newest])


def not_ours(loop: str, live: bool, owner: str, traffic: Mapping[str, int]) -> str:
    """Why an endpoint must be left alone; empty where it may be used. `live`: the loop's champion is on it.

    Two loops on one endpoint would move each other's traffic and delete each other's champion; and what serves users on
    one that somebody made by hand was never measured. One made by hand that serves nobody is taken.
    """
    other = "give this loop another endpoint.name"
    if owner and owner != loop:
        return f"belongs to the loop {owner}: {other}"
    if not owner and not live and traffic:
        return f"was not made by Visionloop, and its traffic goes to {shares(traffic)}: {other}"
    return ""


def free_slot(live: Slot | None, traffic: Mapping[str, int]) -> Slot | None:
    """The slot for a challenger: not the champion's, and without traffic. None where there is none."""
    return next((s for s in SLOTS if s != live and not traffic.get(s)), None)
