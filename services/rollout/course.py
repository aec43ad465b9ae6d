"""Moves a rollout from step to step along the table of decisions/rollout.py, telling what a person should know."""

from __future__ import annotations

from typing import Literal

from services.context import LoopContext
from services.decisions.rollout import Outcome, next_step
from services.state import Rollout, RolloutStep

STAGE = "rollout"


def go(context: LoopContext, rollout: Rollout, outcome: Outcome, said: str = "") -> float:
    """Take the step that the outcome leads to, and make it durable. Returns 0: look again at once."""
    enter(context, rollout, next_step(rollout.step, outcome))
    if said:
        context.state.reasons[STAGE] = said
    context.save()
    return 0.0


def enter(context: LoopContext, rollout: Rollout, step: RolloutStep) -> None:
    """Begin a step; the clock and the count of attempts begin anew."""
    rollout.step, rollout.step_started, rollout.attempts = step, context.now, 0
    context.state.reasons[STAGE] = (
        f"Rollout of run {rollout.run} into slot {rollout.slot} of {rollout.endpoint}: step {step}"
        if step != "done"
        else f"Rollout of run {rollout.run} is over, {rollout.outcome}: {rollout.decision}"
    )


def give_up(
    context: LoopContext, rollout: Rollout, reason: str, kind: Literal["rejected", "failed"] = "failed"
) -> float:
    """Leave the champion as it is and clean up; the outcome is told with the same write that records it."""
    rollout.outcome, rollout.decision = kind, reason
    context.state.run(rollout.run).rollout = kind
    context.tell(f"rollout.{kind}", reason, run=rollout.run, step=rollout.step, scores=rollout.scores)
    return go(context, rollout, "failed" if kind == "failed" else "not better", reason)


def poll(context: LoopContext) -> float:
    """Seconds between two looks at what is under way."""
    return context.cloud.settings.poll_seconds


def try_again(context: LoopContext, rollout: Rollout) -> None:
    """Count an attempt, durably, before it is made."""
    rollout.attempts += 1
    context.save()
