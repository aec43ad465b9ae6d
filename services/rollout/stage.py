"""Brings one candidate at a time live, or leaves the champion as it was. The steps are a table: decisions/rollout.py.

Every step only looks and begins: what takes long is looked at again on a later wake. A crash anywhere repeats the step,
and every call in it is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.context import LoopContext
from services.datasets.reading import holdout as read_holdout
from services.decisions.rollout import GRACE, SLOTS, candidates, free_slot, given_up, overdue
from services.errors import Conflict, NotFound, UpstreamRefused, VisionloopError
from services.names import endpoint_name
from services.rollout import canary, slots, trial
from services.rollout.approval import approve
from services.rollout.course import enter, give_up, poll
from services.rollout.guard import GuardStage
from services.rollout.mirror import mirror
from services.state import Champion, Rollout, RolloutStep, TrainingRun

Step = Callable[[LoopContext, Rollout], float]

CLEANING: frozenset[RolloutStep] = frozenset({"keep", "revert", "retire", "abandon"})
"""Steps after the outcome: nothing can fail them, they are tried until they are done or given up by themselves."""


class RolloutStage:
    """At most one rollout at a time: from the candidate to the champion, or back."""

    name = "rollout"

    def __init__(self, holdout: trial.Holdout = read_holdout) -> None:
        """`holdout` reads a dataset version's validation split."""
        self._guard = GuardStage(holdout)
        self._steps: Mapping[RolloutStep, Step] = {
            "endpoint": slots.endpoint,
            "deploy": slots.deploy,
            "smoke": lambda context, rollout: trial.smoke(context, rollout, holdout),
            "evaluate": lambda context, rollout: self._evaluate(context, rollout, holdout),
            "decide": trial.decide,
            "approve": approve,
            "mirror": mirror,
            "canary": canary.canary,
            "shift": slots.shift,
            "keep": canary.keep,
            "revert": canary.revert,
            "retire": slots.retire,
            "abandon": slots.abandon,
        }

    def step(self, context: LoopContext) -> float | None:
        """Make one step of the rollout under way, or begin one for the newest candidate.

        Raises:
            Upstream: Azure ML fails in a way that may pass.
        """
        rollout = context.state.rollout
        if rollout is None or rollout.step == "done":
            return self._begin(context)
        self._supersede(context)
        return self._advance(context, rollout)

    def _begin(self, context: LoopContext) -> float | None:
        self._supersede(context)
        order = context.state.rollout_next
        run = context.state.run(order.run) if order else candidates(context.state).next
        if run is None or context.state.resting is not None:
            return None  # a champion that rests is woken first, to be compared with
        champion = context.state.champion
        if order is None and champion is not None and self._is_lost(context, champion):
            return poll(context)
        context.state.guard.repair = None
        rollout = _rollout(context, run)
        rollout.order, context.state.rollout, context.state.rollout_next = order, rollout, None
        enter(context, rollout, "endpoint")
        beside = f"beside the champion of run {champion.run}" if champion else "as the first model"
        said = f"{rollout.model.name}:{rollout.model.version} of run {run.number} goes to {rollout.endpoint} {beside}"
        if order:
            said = f"{said}; {order.kind} was asked for{order.order.signed}"
        context.tell("rollout.started", said, run=run.number, endpoint=rollout.endpoint)
        context.save()
        return 0.0

    def _is_lost(self, context: LoopContext, champion: Champion) -> bool:
        """One that was lost is brought back first, but where a person's word makes comparing needless."""
        return context.state.guard.repair is not None or self._guard.restores_first(context, champion)

    def _evaluate(self, context: LoopContext, rollout: Rollout, holdout: trial.Holdout) -> float:
        """A champion that is lost meanwhile is not thereby beaten: it is brought back, where that can be done."""
        champion, workspace = context.state.champion, context.cloud.workspace
        opposed = champion is not None and rollout.order is None
        if opposed and champion and workspace.deployment(champion.endpoint, champion.slot) is None:
            self._guard.restores_first(context, champion)
        if opposed and context.state.guard.repair is not None:
            return poll(context)
        return trial.evaluate(context, rollout, holdout)

    def _supersede(self, context: LoopContext) -> None:
        for run in candidates(context.state).superseded:
            run.rollout = "superseded"
            newest = max(r.number for r in context.state.runs if r.rollout == "pending")
            said = f"The candidate of run {run.number} is superseded by run {newest} before its rollout began"
            context.tell("rollout.rejected", said, run=run.number, superseded_by=newest)
            context.save()

    def _advance(self, context: LoopContext, rollout: Rollout) -> float:
        """What is there is looked at before the step is given up: its slot may have become ready while nobody looked.

        Raises:
            Upstream: Azure ML fails in a way that may pass.
        """
        before = rollout.step, rollout.step_started
        try:
            again = self._try(context, rollout)
        except VisionloopError:
            if late := _too_late(context, rollout):
                return give_up(context, rollout, late)
            raise
        if (rollout.step, rollout.step_started) == before and (late := _too_late(context, rollout)):
            return give_up(context, rollout, late)
        return again if rollout.overdue_since is None else min(again, GRACE.total_seconds())

    def _try(self, context: LoopContext, rollout: Rollout) -> float:
        try:
            return self._steps[rollout.step](context, rollout)
        except (UpstreamRefused, Conflict, NotFound) as error:
            if error.retryable or rollout.step in CLEANING:
                raise
            return give_up(context, rollout, f"Step {rollout.step} failed: {error.detail}")


def _too_late(context: LoopContext, rollout: Rollout) -> str:
    """Why the step is given up now, where it is; its grace begins with the first look at it that finds it overdue."""
    if rollout.step in CLEANING or not overdue(rollout, context.now):
        return ""
    if rollout.overdue_since is None:
        rollout.overdue_since = context.now
        context.save()
    late = given_up(rollout, context.now)
    return f"Given up: {late}{rollout.trouble}" if late else ""


def _rollout(context: LoopContext, run: TrainingRun) -> Rollout:
    if run.model is None:
        raise ValueError(f"run {run.number} is a candidate without a model")
    settings, champion = context.cloud.settings, context.state.champion
    derived = endpoint_name(context.loop, settings.subscription_id, settings.workspace)
    return Rollout(
        run=run.number,
        model=run.model,
        dataset_version=run.dataset_version,
        endpoint=context.config.endpoint.name or derived,
        slot=free_slot(champion.slot if champion else None, {}) or SLOTS[0],
        started=context.now,
        step_started=context.now,
    )
