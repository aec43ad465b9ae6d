"""Moves a rollout from step to step along the table of decisions/rollout.py, telling what a person should know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, Protocol

from services.context import LoopContext
from services.decisions.rollout import Outcome, next_step
from services.errors import VisionloopError
from services.rollout.card import write as write_card
from services.state import Rollout, RolloutStep

STAGE = "rollout"
HEALTH = "health"
"""Folder of the system container where the proxy's processes count."""


def go(context: LoopContext, rollout: Rollout, outcome: Outcome, said: str = "") -> float:
    """Take the step that the outcome leads to, and make it durable. Returns 0: look again at once."""
    enter(context, rollout, next_step(rollout.step, outcome))
    if said:
        context.state.reasons[STAGE] = said
    write_card(context, rollout)
    context.save()
    return 0.0


def enter(context: LoopContext, rollout: Rollout, step: RolloutStep) -> None:
    """Begin a step; the clock and the count of attempts begin anew."""
    rollout.step, rollout.attempts, rollout.trouble = step, 0, ""
    restart_clock(context, rollout)
    context.state.reasons[STAGE] = (
        f"Rollout of run {rollout.run} into slot {rollout.slot} of {rollout.endpoint}: step {step}"
        if step != "done"
        else f"Rollout of run {rollout.run} is over, {rollout.outcome}: {rollout.decision}"
    )


def restart_clock(context: LoopContext, rollout: Rollout) -> None:
    """What the step has lasted so far no longer counts."""
    rollout.step_started, rollout.overdue_since = context.now, None


Ending = Literal["rejected", "refused", "failed", "rolled_back"]
_OUTCOMES: Mapping[Ending, Outcome] = {
    "rejected": "not better",
    "refused": "refused",
    "failed": "failed",
    "rolled_back": "rolled back",
}


def give_up(context: LoopContext, rollout: Rollout, reason: str, ending: Ending = "failed") -> float:
    """Leave the champion as it is and clean up; the outcome is told with the same write that records it."""
    kind: Literal["rejected", "failed", "rolled_back"] = "rejected" if ending == "refused" else ending
    rollout.outcome, rollout.decision, rollout.held = kind, reason, None
    unwatch(rollout)
    context.state.run(rollout.run).rollout = kind
    seen = {slot: watched.model_dump() for slot, watched in rollout.watched.items()}
    context.tell(f"rollout.{kind}", reason, run=rollout.run, step=rollout.step, scores=rollout.scores, watched=seen)
    return go(context, rollout, _OUTCOMES[ending], reason)


def watch(context: LoopContext, rollout: Rollout, percent: int) -> None:
    """Have the proxy give the challenger its share, and note what becomes of it in a folder of its own."""
    rollout.share, rollout.watched_since = percent, context.now
    rollout.watching = f"{HEALTH}/{context.loop}/run-{rollout.run}/{context.now:%Y%m%d%H%M%S}-{rollout.stage}/"
    rollout.watched.pop(rollout.slot, None)


def unwatch(rollout: Rollout) -> None:
    """All predictions go to the champion again, and nobody notes what becomes of them."""
    rollout.share, rollout.mirror, rollout.watching, rollout.watched_since = 0, 0, "", None


def poll(context: LoopContext) -> float:
    """Seconds between two looks at what is under way."""
    return context.cloud.settings.poll_seconds


def try_again(context: LoopContext, rollout: Rollout) -> None:
    """Count an attempt, durably, before it is made."""
    rollout.attempts += 1
    context.save()


class Tries(Protocol):
    """What counts attempts, in the state."""

    attempts: int


@contextmanager
def counted(context: LoopContext, tries: Tries, said: Callable[[str], object] = lambda _: None) -> Iterator[None]:
    """Count an attempt, durably, before it is made; `said` is told why it was not taken.

    One that Azure says when to make again (Retry-After, with 429 and 503) does not count: only the step's time ends it.
    """
    tries.attempts += 1
    context.save()
    try:
        yield
    except VisionloopError as error:
        said(f": {error.detail}")
        tries.attempts -= isinstance(error.extra.get("retry_after"), int | float)
        context.save()
        raise
