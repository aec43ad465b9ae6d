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
from services.errors import NotFound, VisionloopError
from services.names import missed_blob
from services.rollout.course import poll
from services.rollout.specs import make_deployment, make_endpoint
from services.rollout.trial import Holdout, answers
from services.state import Champion, Guard, LoopState, Repair, Resting, Trouble


class GuardStage:
    """Between rollouts, and while one waits for a person's yes; not while the endpoint rests without its slot."""

    name = "guard"

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
            return _give_up(context, champion, f"did not come back in {minutes:.0f} minutes{repair.error}")
        if verdict.moving:
            return poll(context)
        if verdict.trouble in (None, "traffic") and not answers(context, champion, self._holdout):
            return _silent(context, champion, repair)
        if verdict.trouble is None:
            return _well(context, champion)
        if verdict.trouble == "taken" or (verdict.trouble == "traffic" and not _may_move(context, champion)):
            return self._leave(context, champion)
        return _act(context, champion, repair)

    def _leave(self, context: LoopContext, champion: Champion) -> float | None:
        """The slot is there, or is somebody else's: what is still wrong is told as another trouble."""
        context.state.guard.repair = None
        return self._look(context, champion)


def _found(context: LoopContext, champion: Champion, verdict: rules.Verdict) -> float | None:
    """Note what a look found, and whether it is repaired. A slot that failed is asked again before it is removed."""
    guard, now = context.state.guard, context.now
    guard.looked = now
    if verdict.trouble is None:
        return _well(context, champion)
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


def _may_move(context: LoopContext, champion: Champion) -> bool:
    """Traffic that goes to nobody went with the slot; what somebody else has is moved only where loop.yaml says so."""
    view = context.cloud.workspace.endpoint(champion.endpoint)
    return context.config.endpoint.repair == "all" or (view is not None and not view.traffic)


def _tell_trouble(context: LoopContext, champion: Champion, verdict: rules.Verdict, plan: Decision) -> None:
    """Once: the words for the same trouble may change at every look, as the end of a slot's log does."""
    guard, said = context.state.guard, f"{verdict.reason}: {plan.reason}"
    if guard.trouble == verdict.trouble and guard.reason.endswith(f": {plan.reason}"):
        guard.reason = context.state.reasons[GuardStage.name] = said
        return
    guard.since = guard.since if guard.trouble == verdict.trouble else context.now
    guard.trouble = verdict.trouble
    _tell_lost(context, champion, said, repairs=plan.act)


def _tell_lost(context: LoopContext, champion: Champion, said: str, *, repairs: bool) -> None:
    guard = context.state.guard
    guard.reason = context.state.reasons[GuardStage.name] = said
    told = {"endpoint": champion.endpoint, "slot": champion.slot, "trouble": guard.trouble, "repairs": repairs}
    context.tell("endpoint.lost", said, run=champion.run, **told)


def _well(context: LoopContext, champion: Champion) -> float | None:
    """The slot is as it was left, by us or by somebody else's doing."""
    guard, now = context.state.guard, context.now
    if guard.trouble is not None:
        hours = (now - (guard.since or now)).total_seconds() / 3600
        how = "was brought back" if guard.repair else "is as it was left again"
        model = f"{champion.model.name}:{champion.model.version}"
        said = f"{model} in slot {champion.slot} of {champion.endpoint} {how} after {hours:.1f} hours"
        told = {"endpoint": champion.endpoint, "slot": champion.slot, "trouble": guard.trouble}
        context.tell("endpoint.restored", said, run=champion.run, hours=round(hours, 2), **told)
    context.state.reasons.pop(GuardStage.name, None)
    context.state.guard = Guard(looked=now, repaired=rules.recent(guard, now))
    context.save()
    return None


def _give_up(context: LoopContext, champion: Champion, why: str) -> float | None:
    guard, now = context.state.guard, context.now
    trouble = guard.trouble or (guard.repair.trouble if guard.repair else "gone")
    guard.repair, guard.looked = None, now
    plan = rules.repair(context.state, trouble, removed=False, now=now)
    _tell_lost(context, champion, f"Slot {champion.slot} of {champion.endpoint} {why}: {plan.reason}", repairs=False)
    context.save()
    return 0.0 if plan.act else plan.again_in


def _act(context: LoopContext, champion: Champion, repair: Repair) -> float | None:
    """Begin what comes next: nothing here waits, and everything can be begun again."""
    workspace, name, slot = context.cloud.workspace, champion.endpoint, champion.slot
    view, found = workspace.endpoint(name), workspace.deployment(name, slot)
    if view is None:
        make_endpoint(context, name)
    elif found is None:
        return _deploy(context, champion, repair)
    elif found.state == "failed" and view.traffic.get(slot):
        workspace.begin_traffic(name, {})
    elif found.state == "failed":
        workspace.begin_delete_deployment(name, slot)
    else:
        workspace.begin_traffic(name, {slot: 100})
    return poll(context)


def _silent(context: LoopContext, champion: Champion, repair: Repair) -> float | None:
    """A slot may need a moment after its deployment."""
    repair.asked += 1
    context.save()
    if repair.asked >= rules.MOST_ASKED:
        return _give_up(context, champion, f"is there, but did not answer {repair.asked} requests")
    return poll(context)


def _deploy(context: LoopContext, champion: Champion, repair: Repair) -> float | None:
    """The endpoint's address may be another one than that of the endpoint that is gone."""
    if repair.attempts >= rules.MOST_DEPLOYMENTS:
        return _give_up(context, champion, f"did not come back in {repair.attempts} deployments{repair.error}")
    view = context.cloud.workspace.endpoint(champion.endpoint)
    champion.scoring_uri = (view.scoring_uri if view else "") or champion.scoring_uri
    repair.attempts += 1
    context.save()
    try:
        make_deployment(context, champion.endpoint, champion.slot, champion.model, champion.run)
    except VisionloopError as error:
        repair.error = f": {error.detail}"
        context.save()
        raise
    return poll(context)
