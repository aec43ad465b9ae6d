"""Looks at the live slot seldom, tells what somebody changed outside of Visionloop, and brings the same model back.

    well ──▶ trouble, told ──▶ repair: the endpoint, the slot, a smoke request, the traffic ──▶ well, told
                   └──▶ left as it is: by loop.yaml, while paused, or after too many repairs in a day

The champion is the champion all the while. No gate is passed again: it is the model that passed it.
"""

from __future__ import annotations

import json
from datetime import datetime

from services.context import LoopContext
from services.datasets.reading import holdout as read_holdout
from services.decisions import guard as rules
from services.decisions.decision import Decision
from services.errors import NotFound
from services.names import missed_blob
from services.rollout.course import poll
from services.rollout.repair import STAGE, act, give_up, silent, tell_lost, well
from services.rollout.trial import Holdout, answers
from services.state import Champion, LoopState, Repair, Resting, Trouble


class GuardStage:
    """Between rollouts, and while one waits for a person's yes; not while the endpoint rests without its slot."""

    name = STAGE

    def __init__(self, holdout: Holdout = read_holdout) -> None:
        """`holdout` reads a dataset version's validation split."""
        self._holdout = holdout

    def step(self, context: LoopContext) -> float | None:
        """Look where it is time, or go on with a repair.

        Raises:
            Upstream: Azure ML fails in a way that may pass.
        """
        state = context.state
        champion, guard = state.champion, state.guard
        if champion is None or _rolling(state) or _is_away(state.resting):
            return None
        if guard.repair is not None:
            return self._go_on(context, champion, guard.repair)
        missed = _missed(context)
        wait = rules.next_look(guard, missed, context.now)
        if guard.trouble is None:
            soon = wait if missed and guard.looked and missed > guard.looked else None
            return self._look(context, champion) if wait <= 0 else soon
        plan = rules.repair(state, guard.trouble, removed=False, now=context.now)
        if wait <= 0 or plan.act:
            return self._look(context, champion)
        return min(wait, plan.again_in or wait)

    def restores_first(self, context: LoopContext, champion: Champion) -> bool:
        """Before a rollout: whether the champion has to be brought back, so that it can be compared with.

        Raises:
            Upstream: Azure ML fails in a way that may pass.
        """
        verdict = self._verdict(context, champion, context.state.guard.trouble)
        if not verdict.moving:
            _found(context, champion, verdict)
        return bool(verdict.moving) or context.state.guard.repair is not None

    def _look(self, context: LoopContext, champion: Champion) -> float | None:
        verdict = self._verdict(context, champion, context.state.guard.trouble)
        return poll(context) if verdict.moving else _found(context, champion, verdict)

    def _verdict(self, context: LoopContext, champion: Champion, known: Trouble | None = None) -> rules.Verdict:
        seen = _see(context, champion)
        verdict = rules.judge(context.loop, champion, seen, known)
        if verdict.trouble == "failed" and seen.slot == "failed" and answers(context, champion, self._holdout):
            return rules.judge_answering(context.loop, champion, seen, known)
        return verdict

    def _go_on(self, context: LoopContext, champion: Champion, repair: Repair) -> float | None:
        """One step of a repair, by what is there now: somebody may be faster, or have put something else in its place.

        The slot has to answer before it is called well, or gets traffic.
        """
        verdict = self._verdict(context, champion)
        missing = verdict.moving or verdict.trouble in ("gone", "failed")
        if missing and context.now - repair.since > rules.LASTS:
            minutes = rules.LASTS.total_seconds() / 60
            return give_up(context, champion, f"did not come back in {minutes:.0f} minutes{repair.error}")
        if verdict.moving:
            return poll(context)
        if verdict.trouble in (None, "traffic") and not answers(context, champion, self._holdout):
            return silent(context, champion, repair)
        if verdict.trouble is None:
            return well(context, champion)
        if verdict.trouble == "taken" or (verdict.trouble == "traffic" and not _may_move(context, champion, repair)):
            return self._leave(context, champion)
        return act(context, champion, repair)

    def _leave(self, context: LoopContext, champion: Champion) -> float | None:
        """The slot is there, or is somebody else's: what is still wrong is told as another trouble."""
        context.state.guard.repair = None
        return self._look(context, champion)


def _found(context: LoopContext, champion: Champion, verdict: rules.Verdict) -> float | None:
    """Note what a look found, and whether it is repaired. A slot that failed is asked again before it is removed."""
    guard, now = context.state.guard, context.now
    guard.looked = now
    if verdict.trouble is None:
        return well(context, champion)
    plan = rules.repair(context.state, verdict.trouble, _is_removed(context), now)
    _tell_trouble(context, champion, verdict, plan)
    if plan.act:
        context.state.resting = None  # what is made anew has all its machines
        guard.repair = Repair(trouble=verdict.trouble, since=now)
        guard.repaired = [*rules.recent(guard, now), now]
    context.save()
    if plan.act:
        return 0.0 if verdict.trouble == "gone" else poll(context)
    return plan.again_in


def _rolling(state: LoopState) -> bool:
    """A rollout looks at the endpoint itself, but not while it waits for a person's yes, which may take days.

    And its evaluation waits for a repair: nothing else is changed on the endpoint meanwhile.
    """
    step = state.rollout.step if state.rollout is not None else "done"
    return step not in ("approve", "done") and not (step == "evaluate" and state.guard.repair is not None)


def _is_away(resting: Resting | None) -> bool:
    """Whether the slot is gone, or changed, by our own doing; one that was only scaled down is there, and answers."""
    return resting is not None and (resting.kind == "remove" or resting.phase != "asleep")


def _missed(context: LoopContext) -> datetime | None:
    """When a process of the proxy found nobody in the slot last."""
    try:
        said = json.loads(context.cloud.system.read(missed_blob(context.loop)).data)
    except NotFound:
        return None
    return datetime.fromisoformat(said["last"])


def _is_removed(context: LoopContext) -> bool:
    return next(context.cloud.data.list(f"{context.loop}/"), None) is None


def _see(context: LoopContext, champion: Champion) -> rules.Seen:
    workspace = context.cloud.workspace
    view, slot = workspace.endpoint(champion.endpoint), workspace.deployment(champion.endpoint, champion.slot)
    if view is None:
        return rules.Seen(None)
    state, model, error = (slot.state, slot.model, slot.error) if slot else (None, "", "")
    return rules.Seen(view.state, state, model, view.owner, view.traffic, error)


def _may_move(context: LoopContext, champion: Champion, repair: Repair) -> bool:
    """Traffic that goes to nobody went with the slot; what somebody else has is moved only where that is asked for."""
    if repair.ordered:
        return True
    view = context.cloud.workspace.endpoint(champion.endpoint)
    return context.config.endpoint.repair == "all" or (view is not None and not view.traffic)


def _tell_trouble(context: LoopContext, champion: Champion, verdict: rules.Verdict, plan: Decision) -> None:
    """Once: the words for the same trouble may change at every look, as the end of a slot's log does."""
    guard, said = context.state.guard, f"{verdict.reason}: {plan.reason}"
    if guard.trouble == verdict.trouble and guard.reason.endswith(f": {plan.reason}"):
        guard.reason = context.state.reasons[STAGE] = said
        return
    guard.since = guard.since if guard.trouble == verdict.trouble else context.now
    guard.trouble = verdict.trouble
    tell_lost(context, champion, said, repairs=plan.act)
