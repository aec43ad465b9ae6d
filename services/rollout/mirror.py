"""The step before the first share: the challenger gets copies of users' requests, and its answers go to nobody."""

from __future__ import annotations

from services.context import LoopContext
from services.rollout.canary import judged, left, sick_slot, stands_alone
from services.rollout.course import give_up, go, poll, unwatch, watch
from services.state import Champion, Rollout


def mirror(context: LoopContext, rollout: Rollout) -> float:
    """Have a percentage of the requests copied for `bake_seconds`, and watch what the challenger does with them."""
    champion = context.state.champion
    if champion is None or not context.config.rollout.mirror or stands_alone(context, rollout):
        return go(context, rollout, "mirrored")
    if sick := sick_slot(context, rollout):
        return give_up(context, rollout, sick)
    if rollout.watched_since is None:
        _begin(context, rollout)
    return _watch(context, rollout, champion)


def _begin(context: LoopContext, rollout: Rollout) -> None:
    policy = context.config.rollout
    watch(context, rollout, 0)
    rollout.mirror = policy.mirror
    said = f"{policy.mirror} % of the predictions are copied to {rollout.model.name}:{rollout.model.version}"
    context.tell("rollout.mirror", f"{said}, watched for {policy.bake_seconds:g} s", run=rollout.run)
    context.save()


def _watch(context: LoopContext, rollout: Rollout, champion: Champion) -> float:
    verdict = judged(context, rollout, champion.slot)
    if verdict.healthy is False:
        return give_up(context, rollout, f"Of copied requests: {verdict.reason}", "rolled_back")
    seconds = left(context, rollout, context.config.rollout.bake_seconds)
    if rollout.held is not None or seconds > 0:
        context.save()
        return poll(context) if rollout.held is not None else min(poll(context), seconds)
    unwatch(rollout)
    return go(context, rollout, "mirrored", f"Copied requests went well: {verdict.reason}")
