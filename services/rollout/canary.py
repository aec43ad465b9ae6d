"""The steps between the decision and the last bill: a person's yes, growing shares of the traffic, the time to go back.

Nothing here waits: each look says in how many seconds the next one is due.
"""

from __future__ import annotations

from datetime import timedelta

from services.context import LoopContext
from services.decisions.canary import Verdict, judge
from services.decisions.rollout import may_try, overdue
from services.rollout.course import counted, give_up, go, poll, restart_clock, unwatch, watch
from services.rollout.watch import look
from services.state import Champion, Guard, Rollout, Watched
from services.words import numbered, shares

KEEP_SECONDS = 60.0
"""Between two looks at the users of a model that is live already."""


def canary(context: LoopContext, rollout: Rollout) -> float:
    """Give the challenger one percentage after the other, and watch its users for `bake_seconds` each."""
    plan, champion = context.config.rollout.canary, context.state.champion
    if champion is None or stands_alone(context, rollout) or rollout.stage >= len(plan):
        return go(context, rollout, "baked")
    view = context.cloud.workspace.endpoint(rollout.endpoint)
    if view is None:
        return give_up(context, rollout, f"Endpoint {rollout.endpoint} is gone")
    if view.state in ("creating", "deleting"):
        return poll(context)
    if sick := sick_slot(context, rollout):
        return give_up(context, rollout, sick)
    percent = plan[rollout.stage]
    share: dict[str, int] = {rollout.slot: percent, champion.slot: 100 - percent}
    if dict(view.traffic) == share:
        return _bake(context, rollout, champion, percent)
    return _set_traffic(context, rollout, share, dict(view.traffic))


def stands_alone(context: LoopContext, rollout: Rollout) -> bool:
    """Whether there is no champion beside the challenger to try it against, or a person's word makes that needless."""
    champion = context.state.champion
    elsewhere = champion is None or champion.endpoint != rollout.endpoint
    return elsewhere or bool(rollout.unopposed) or rollout.order is not None


def sick_slot(context: LoopContext, rollout: Rollout) -> str:
    """Why the challenger's slot may get no traffic; empty where it may."""
    view = context.cloud.workspace.deployment(rollout.endpoint, rollout.slot)
    if view is None:
        return f"Slot {rollout.slot} of {rollout.endpoint} is gone"
    return f"Slot {rollout.slot} of {rollout.endpoint} is {view.state}" if view.state in ("failed", "deleting") else ""


def _set_traffic(context: LoopContext, rollout: Rollout, share: dict[str, int], found: dict[str, int]) -> float:
    if rollout.held is not None:
        return poll(context)
    if not may_try(rollout):
        tried = f"after {numbered(rollout.attempts, 'attempt')} to make it {shares(share)}"
        said = f"Traffic of {rollout.endpoint} goes to {shares(found)} {tried}"
        return give_up(context, rollout, said)
    with counted(context, rollout):
        context.cloud.workspace.begin_traffic(rollout.endpoint, share)
    return 0.0 if rollout.attempts == 1 else poll(context)


def _bake(context: LoopContext, rollout: Rollout, champion: Champion, percent: int) -> float:
    if rollout.watched_since is None or rollout.share != percent:
        watch(context, rollout, percent)
        said = f"{percent} % of the predictions go to {rollout.model.name}:{rollout.model.version}"
        seconds = context.config.rollout.bake_seconds
        context.tell("rollout.canary", f"{said}, watched for {seconds:g} s", run=rollout.run, percent=percent)
        context.save()
    verdict = judged(context, rollout, champion.slot)
    if verdict.healthy is False:
        said = f"At {percent} % of the traffic: {verdict.reason}"
        return give_up(context, rollout, said, "rolled_back")
    seconds = left(context, rollout, context.config.rollout.bake_seconds)
    if rollout.held is not None or seconds > 0:
        context.save()
        return poll(context) if rollout.held is not None else min(poll(context), seconds)
    unwatch(rollout)
    rollout.stage, rollout.attempts = rollout.stage + 1, 0
    restart_clock(context, rollout)
    context.state.reasons["rollout"] = f"{percent} % went well: {verdict.reason}"
    context.save()
    return 0.0


def judged(context: LoopContext, rollout: Rollout, other: str) -> Verdict:
    """What was seen is kept for the status; the champion's last known stays where it gets no requests any more."""
    rollout.watched |= look(context.cloud.system, rollout.watching)
    challenger = rollout.watched.get(rollout.slot, Watched())
    return judge(context.config.rollout.health, challenger, rollout.watched.get(other))


def left(context: LoopContext, rollout: Rollout, seconds: float) -> float:
    since = rollout.watched_since or context.now
    return (since + timedelta(seconds=seconds) - context.now).total_seconds()


def keep(context: LoopContext, rollout: Rollout) -> float:
    """Keep the old slot for the rollback window, and watch the new champion's users meanwhile."""
    seconds, old = 60 * context.config.rollout.rollback_window_minutes, rollout.replaced
    if old is None or (seconds == 0 and rollout.held is None):
        return go(context, rollout, "kept")
    if rollout.watched_since is None:
        rollout.stage += 1
        watch(context, rollout, 0)
        context.save()
    if sick := sick_slot(context, rollout):
        return begin_revert(context, rollout, f"After all traffic moved: {sick}")
    verdict = judged(context, rollout, old.slot)
    if verdict.healthy is False:
        return begin_revert(context, rollout, f"After all traffic moved: {verdict.reason}")
    seconds = left(context, rollout, seconds)
    if rollout.held is not None or (seconds > 0 and not overdue(rollout, context.now)):
        context.save()
        wait = max(poll(context), KEEP_SECONDS)
        return wait if rollout.held is not None else min(wait, seconds)
    unwatch(rollout)
    return go(context, rollout, "kept")


def begin_revert(context: LoopContext, rollout: Rollout, reason: str) -> float:
    """Have the traffic go back to the old champion; why is told once it is there."""
    unwatch(rollout)
    rollout.decision, rollout.held = reason, None
    return go(context, rollout, "rolled back", reason)


def revert(context: LoopContext, rollout: Rollout) -> float:
    """All traffic back to the old champion's slot; it is champion again only once Azure ML shows that traffic."""
    old, workspace = rollout.replaced, context.cloud.workspace
    view = workspace.endpoint(old.endpoint) if old else None
    slot = workspace.deployment(old.endpoint, old.slot) if old else None
    if old is None or view is None or slot is None or slot.state in ("failed", "deleting"):
        return _stay(context, rollout, "the old slot is gone")
    if view.state in ("creating", "deleting"):
        return poll(context)
    if dict(view.traffic) == {old.slot: 100}:
        return _restored(context, rollout, old)
    if late := overdue(rollout, context.now):
        return _stay(context, rollout, late)
    if not may_try(rollout):
        return _stay(context, rollout, f"{rollout.attempts} attempts did not move the traffic")
    with counted(context, rollout):
        workspace.begin_traffic(old.endpoint, {old.slot: 100})
    return 0.0 if rollout.attempts == 1 else poll(context)


def _stay(context: LoopContext, rollout: Rollout, why: str) -> float:
    said = f"The rollback to the champion before failed, {why}; {rollout.decision}"
    context.tell("rollout.failed", said, run=rollout.run, step=rollout.step, scores=rollout.scores)
    return go(context, rollout, "failed", said)


def _restored(context: LoopContext, rollout: Rollout, old: Champion) -> float:
    state = context.state
    state.champion, rollout.replaced, rollout.outcome = old, None, "rolled_back"
    state.guard = Guard(looked=context.now)
    state.run(rollout.run).rollout = "rolled_back"
    said = f"{old.model.name}:{old.model.version} is live again: {rollout.decision}"
    seen = {slot: watched.model_dump() for slot, watched in rollout.watched.items()}
    context.tell("rollout.rolled_back", said, run=rollout.run, to=old.run, step=rollout.step, watched=seen)
    return go(context, rollout, "reverted", said)
