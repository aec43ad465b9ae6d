"""The steps that change an endpoint: making it, filling a slot, moving traffic, cleaning up. Each only begins."""

from __future__ import annotations

from contextlib import AbstractContextManager

from services.cloud.ports.serving import DeploymentView
from services.context import LoopContext
from services.decisions.promote import metric_of
from services.decisions.rollout import free_slot, may_try, not_ours, overdue
from services.rollout.canary import sick_slot
from services.rollout.course import HEALTH, counted, give_up, go, poll
from services.rollout.specs import make_deployment, make_endpoint
from services.state import Champion, Guard, Rollout
from services.words import numbered, shares


def endpoint(context: LoopContext, rollout: Rollout) -> float:
    """Have the endpoint made if there is none, and choose the slot by what has traffic on it."""
    view = context.cloud.workspace.endpoint(rollout.endpoint)
    if view is None:
        return _make_endpoint(context, rollout)
    if view.state == "failed" and not view.traffic:
        said = f"Endpoint {rollout.endpoint} is not usable: {view.error}; once deleted, the next rollout makes it anew"
        return give_up(context, rollout, said)
    if view.state in ("creating", "deleting"):
        return poll(context)
    champion = context.state.champion
    is_live = champion is not None and champion.endpoint == rollout.endpoint
    if taken := not_ours(context.loop, is_live, view.owner, view.traffic):
        return give_up(context, rollout, f"Endpoint {rollout.endpoint} {taken}")
    slot = free_slot(champion.slot if champion else None, view.traffic)
    if slot is None:
        said = f"Endpoint {rollout.endpoint} has no slot without traffic for a challenger: {shares(view.traffic)}"
        return give_up(context, rollout, said)
    rollout.slot, rollout.scoring_uri = slot, view.scoring_uri
    return go(context, rollout, "ready")


def _make_endpoint(context: LoopContext, rollout: Rollout) -> float:
    if not may_try(rollout):
        said = f"Endpoint {rollout.endpoint} did not come to be in {rollout.attempts} attempts"
        return give_up(context, rollout, f"{said}{rollout.trouble}")
    with _attempt(context, rollout):
        make_endpoint(context, rollout.endpoint)
    return poll(context)


def _attempt(context: LoopContext, rollout: Rollout) -> AbstractContextManager[None]:
    """Keep why a call was not taken: it is the reason of a rollout that is given up after the last attempt."""
    return counted(context, rollout, lambda why: setattr(rollout, "trouble", why))


def deploy(context: LoopContext, rollout: Rollout) -> float:
    """Have the challenger in its slot, without traffic; what an earlier rollout left there is deleted first."""
    view = context.cloud.workspace.deployment(rollout.endpoint, rollout.slot)
    if view is None:
        return _make_deployment(context, rollout)
    if view.state in ("creating", "deleting"):
        return poll(context)
    if view.model != _model(rollout):
        return _delete_slot(context, rollout)
    return go(context, rollout, "deployed") if view.state == "succeeded" else _deployment_failed(context, rollout, view)


def _make_deployment(context: LoopContext, rollout: Rollout) -> float:
    if not may_try(rollout):
        said = f"Slot {rollout.slot} did not come to be in {rollout.attempts} attempts"
        return give_up(context, rollout, f"{said}{rollout.trouble}")
    with _attempt(context, rollout):
        make_deployment(context, rollout.endpoint, rollout.slot, rollout.model, rollout.run)
    return poll(context)


def _deployment_failed(context: LoopContext, rollout: Rollout, view: DeploymentView) -> float:
    if may_try(rollout):
        return _delete_slot(context, rollout)
    said = (
        f"{_model(rollout)} could not be deployed to slot {rollout.slot} in {rollout.attempts} attempts: {view.error}"
    )
    return give_up(context, rollout, said)


def _delete_slot(context: LoopContext, rollout: Rollout) -> float:
    context.cloud.workspace.begin_delete_deployment(rollout.endpoint, rollout.slot)
    return poll(context)


def shift(context: LoopContext, rollout: Rollout) -> float:
    """All traffic to the challenger; it is champion only once Azure ML shows that traffic."""
    view = context.cloud.workspace.endpoint(rollout.endpoint)
    if view is None:
        return give_up(context, rollout, f"Endpoint {rollout.endpoint} is gone")
    if view.state in ("creating", "deleting"):
        return poll(context)
    if dict(view.traffic) == {rollout.slot: 100}:
        return _promote(context, rollout)
    if sick := sick_slot(context, rollout):
        return give_up(context, rollout, sick)
    if rollout.held is not None:
        return poll(context)
    if not may_try(rollout):
        found = f"Traffic of {rollout.endpoint} goes to {shares(view.traffic)}"
        said = f"{found} after {numbered(rollout.attempts, 'attempt')} to shift it"
        return give_up(context, rollout, said)
    with _attempt(context, rollout):
        context.cloud.workspace.begin_traffic(rollout.endpoint, {rollout.slot: 100})
    return 0.0 if rollout.attempts == 1 else poll(context)


def _promote(context: LoopContext, rollout: Rollout) -> float:
    state, version = context.state, context.state.version(rollout.dataset_version)
    metric = metric_of(context.config.promotion, version.task)
    rollout.replaced, rollout.outcome = state.champion, "promoted"
    state.champion = Champion(
        run=rollout.run,
        model=rollout.model,
        dataset_version=version.number,
        task=version.task,
        classes=version.classes,
        endpoint=rollout.endpoint,
        slot=rollout.slot,
        scoring_uri=rollout.scoring_uri,
        metric=metric,
        score=rollout.scores.get(rollout.slot, {}).get(metric, 0.0),
        promoted=context.now,
    )
    state.guard = Guard(looked=context.now)
    run = state.run(rollout.run)
    run.rollout, run.went_live = "promoted", context.now
    if rollout.replaced is not None and rollout.order is not None and rollout.order.kind == "rollback":
        state.run(rollout.replaced.run).rollout = "rolled_back"
    said = f"{_model(rollout)} is live on slot {rollout.slot} of {rollout.endpoint}: {rollout.decision}"
    context.tell("rollout.promoted", said, run=rollout.run, slot=rollout.slot, metric=metric, scores=rollout.scores)
    return go(context, rollout, "shifted", said)


def retire(context: LoopContext, rollout: Rollout) -> float:
    """Delete the slot of the champion that was replaced; on another endpoint its traffic is taken away first."""
    old = rollout.replaced
    if old is None:
        return _over(context, rollout)
    return _clean(context, rollout, old.endpoint, old.slot, f"{old.model.name}:{old.model.version}")


def abandon(context: LoopContext, rollout: Rollout) -> float:
    """Give the traffic back to the champion where the challenger has any, then delete the challenger's slot."""
    return _clean(context, rollout, rollout.endpoint, rollout.slot, _model(rollout))


def _clean(context: LoopContext, rollout: Rollout, name: str, slot: str, model: str) -> float:
    """Traffic first, then the slot. A slot that is live, or holds something else than `model`, is not ours to touch.

    Overdue, the slot is left behind, but never traffic on it.
    """
    workspace, live = context.cloud.workspace, context.state.champion
    view, deployment = workspace.endpoint(name), workspace.deployment(name, slot)
    is_live = live is not None and (live.endpoint, live.slot) == (name, slot)
    if view is None or deployment is None or deployment.model != model or is_live:
        return _over(context, rollout)
    if view.traffic.get(slot):
        workspace.begin_traffic(name, _given_back(context, name))
        return poll(context)
    if late := overdue(rollout, context.now):
        rollout.decision = f"{rollout.decision}; slot {slot} is left behind: {late}"
        return _over(context, rollout)
    if deployment.state not in ("creating", "deleting"):
        workspace.begin_delete_deployment(name, slot)
    return poll(context)


def _given_back(context: LoopContext, name: str) -> dict[str, int]:
    """All to the champion if it is on this endpoint; none at all where there is nobody to give it to."""
    live = context.state.champion
    if live is None or live.endpoint != name or context.cloud.workspace.deployment(name, live.slot) is None:
        return {}
    return {live.slot: 100}


def _over(context: LoopContext, rollout: Rollout) -> float:
    """What was counted of users' requests is in the events; the counters themselves are of no more use."""
    system = context.cloud.system
    for counters in list(system.list(f"{HEALTH}/{context.loop}/run-{rollout.run}/")):
        system.delete(counters.name)
    rollout.replaced = None
    return go(context, rollout, "cleaned")


def _model(rollout: Rollout) -> str:
    return f"{rollout.model.name}:{rollout.model.version}"
