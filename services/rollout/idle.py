"""Lets the endpoint of a loop that nobody asks rest, and wakes it: what rests is not billed.

    awake ──▶ falling: no traffic, then no slot ──▶ asleep ──▶ waking: the slot, a smoke request, the traffic ──▶ awake

With `endpoint.idle: scale` the slot stays with one machine, and answers. The champion is the champion all the while.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from services.cloud.ports.serving import DeploymentView
from services.context import LoopContext
from services.datasets.reading import holdout as read_holdout
from services.decisions.idle import fall_asleep, wake_up
from services.errors import NotFound
from services.names import activity_blob
from services.rollout.course import counted, poll
from services.rollout.specs import make_deployment, make_endpoint
from services.rollout.trial import Holdout, answers
from services.state import Champion, Resting

MOST_ATTEMPTS = 3
PAUSE_SECONDS = 3600.0
"""After so many deployments that failed in a row, the next one is tried this much after the last of them."""


class IdleStage:
    """After the rollout stage: an endpoint rests only while no rollout needs it."""

    name = "idle"

    def __init__(self, holdout: Holdout = read_holdout) -> None:
        """`holdout` reads a dataset version's validation split."""
        self._holdout = holdout

    def step(self, context: LoopContext) -> float | None:
        """Make one step toward resting or waking, or look when the next is due.

        Raises:
            Upstream: Azure ML fails in a way that may pass.
        """
        state = context.state
        champion, under_way = state.champion, state.rollout is not None and state.rollout.step != "done"
        if champion is None or under_way or state.guard.repair is not None:
            return None
        self._see(context)
        if state.resting is not None:
            return self._rest(context, champion, state.resting)
        if context.config.endpoint.idle_after_hours is None:
            state.awake_since = None
            context.save()
            return None
        return self._watch(context)

    def _see(self, context: LoopContext) -> None:
        """Take over when a prediction was asked for last, as the proxy's processes noted it."""
        try:
            said = json.loads(context.cloud.system.read(activity_blob(context.loop)).data)
        except NotFound:
            return
        last, known = datetime.fromisoformat(said["last"]), context.state.last_prediction
        context.state.last_prediction = max(last, known) if known else last

    def _watch(self, context: LoopContext) -> float | None:
        state, policy = context.state, context.config.endpoint
        state.awake_since = state.awake_since or context.now
        decision = fall_asleep(policy, state.awake_since, state.last_prediction, context.now)
        state.reasons[self.name] = decision.reason
        if decision.act:
            state.resting = Resting(kind=policy.idle, since=context.now, reason=decision.reason)
        context.save()
        return 0.0 if decision.act else decision.again_in

    def _rest(self, context: LoopContext, champion: Champion, resting: Resting) -> float | None:
        if resting.phase != "waking":
            decision = wake_up(context.state, resting, context.now)
            context.state.reasons[self.name] = decision.reason
            if decision.act:
                resting.phase, resting.reason = "waking", decision.reason
                context.save()
                return 0.0
            return self._fall(context, champion, resting) if resting.phase == "falling" else decision.again_in
        return self._wake(context, champion, resting)

    def _fall(self, context: LoopContext, champion: Champion, resting: Resting) -> float | None:
        """Traffic first, then the slot: no request is sent to a slot that is going."""
        workspace = context.cloud.workspace
        view, slot = (
            workspace.endpoint(champion.endpoint),
            workspace.deployment(champion.endpoint, champion.slot),
        )
        if view is not None and (set(view.traffic) - {champion.slot} or _is_anothers(slot, champion)):
            return self._stay(context, f"Somebody else uses {champion.endpoint}, so it does not rest")
        if resting.kind == "scale" and slot is None:
            return self._stay(context, f"Slot {champion.slot} of {champion.endpoint} is gone")
        if resting.kind == "scale":
            workspace.begin_scale(champion.endpoint, champion.slot, 1)
            return self._asleep(context, champion, resting, "has one machine left")
        if view is None or slot is None:
            return self._asleep(context, champion, resting, "is removed")
        if view.state in ("creating", "deleting") or slot.state in ("creating", "deleting"):
            return poll(context)
        if view.traffic.get(champion.slot):
            workspace.begin_traffic(champion.endpoint, {})
        else:
            workspace.begin_delete_deployment(champion.endpoint, champion.slot)
        return poll(context)

    def _stay(self, context: LoopContext, why: str) -> float | None:
        """No more rest: what somebody did to the endpoint is the guard's to tell, and to mend."""
        context.state.resting, context.state.awake_since = None, context.now
        context.state.reasons[self.name] = why
        context.save()
        return None

    def _asleep(self, context: LoopContext, champion: Champion, resting: Resting, what: str) -> float:
        resting.phase = "asleep"
        said = f"Slot {champion.slot} of {champion.endpoint} {what}: {resting.reason}"
        context.tell("endpoint.asleep", said, run=champion.run, endpoint=champion.endpoint, idle=resting.kind)
        context.save()
        return 0.0

    def _wake(self, context: LoopContext, champion: Champion, resting: Resting) -> float | None:
        workspace, name, slot = context.cloud.workspace, champion.endpoint, champion.slot
        view, found = workspace.endpoint(name), workspace.deployment(name, slot)
        if _is_anothers(found, champion):
            return self._stay(context, f"Somebody else uses slot {slot} of {name}, so it is not woken")
        if resting.kind == "scale" and found is None:
            return self._stay(context, f"Slot {slot} of {name} is gone")
        if resting.kind == "scale":
            workspace.begin_scale(name, slot, context.config.endpoint.instance_count)
            return self._awake(context, champion, resting)
        if view is None:
            make_endpoint(context, name)
        elif view.state in ("creating", "deleting") or (found is not None and found.state in ("creating", "deleting")):
            return poll(context)
        elif found is None:
            return self._deploy(context, champion, resting)
        elif found.state == "failed":
            workspace.begin_delete_deployment(name, slot)
        elif dict(view.traffic) == {slot: 100}:
            return self._awake(context, champion, resting)
        elif answers(context, champion, self._holdout):
            workspace.begin_traffic(name, {slot: 100})
            return 0.0
        return poll(context)

    def _deploy(self, context: LoopContext, champion: Champion, resting: Resting) -> float:
        if resting.attempts >= MOST_ATTEMPTS:
            resting.paused_until = (resting.tried or context.now) + timedelta(seconds=PAUSE_SECONDS)
            resting.attempts, due = 0, max(context.now, resting.paused_until)
            said = f"Slot {champion.slot} did not wake in {MOST_ATTEMPTS} attempts; the next is made at {due:%H:%M} UTC"
            context.tell("loop.error", said, stage=self.name)
            context.save()
        if resting.paused_until is not None and context.now < resting.paused_until:
            return (resting.paused_until - context.now).total_seconds()
        resting.tried = context.now
        with counted(context, resting):
            make_deployment(context, champion.endpoint, champion.slot, champion.model, champion.run)
        return poll(context)

    def _awake(self, context: LoopContext, champion: Champion, resting: Resting) -> float:
        state = context.state
        state.resting, state.awake_since = None, context.now
        rested = (context.now - resting.since).total_seconds() / 3600
        said = f"{champion.endpoint} answers again after {rested:.1f} hours of rest: {resting.reason}"
        context.tell("endpoint.awake", said, run=champion.run, endpoint=champion.endpoint, hours=round(rested, 2))
        context.save()
        return 0.0


def _is_anothers(slot: DeploymentView | None, champion: Champion) -> bool:
    """Of a slot that is there: what is only just made may not say its model yet."""
    if slot is None or slot.state not in ("succeeded", "failed"):
        return False
    return slot.model != f"{champion.model.name}:{champion.model.version}"
