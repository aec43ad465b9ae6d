"""The steps of a repair: the endpoint, the slot, its traffic; each only begins. And what is told of them."""

from __future__ import annotations

from collections.abc import Callable

from services.context import LoopContext
from services.decisions import guard as rules
from services.rollout.course import counted, poll
from services.rollout.specs import make_deployment, make_endpoint
from services.state import Champion, Guard, Repair

STAGE = "guard"


def tell_lost(context: LoopContext, champion: Champion, said: str, *, repairs: bool) -> None:
    """What is wrong and what is done about it, as an event and in the state; `repairs`: whether that begins now."""
    guard = context.state.guard
    guard.reason = context.state.reasons[STAGE] = said
    told = {"endpoint": champion.endpoint, "slot": champion.slot, "trouble": guard.trouble, "repairs": repairs}
    context.tell("endpoint.lost", said, run=champion.run, **told)


def well(context: LoopContext, champion: Champion) -> float | None:
    """The slot is as it was left, by us or by somebody else's doing."""
    guard, now = context.state.guard, context.now
    if guard.trouble is not None:
        hours = (now - (guard.since or now)).total_seconds() / 3600
        how = "was brought back" if guard.repair else "is as it was left again"
        model = f"{champion.model.name}:{champion.model.version}"
        said = f"{model} in slot {champion.slot} of {champion.endpoint} {how} after {hours:.1f} hours"
        told = {"endpoint": champion.endpoint, "slot": champion.slot, "trouble": guard.trouble}
        context.tell("endpoint.restored", said, run=champion.run, hours=round(hours, 2), **told)
    context.state.reasons.pop(STAGE, None)
    context.state.guard = Guard(looked=now, repaired=rules.recent(guard, now))
    context.save()
    return None


def give_up(context: LoopContext, champion: Champion, why: str) -> float | None:
    """End a repair without success; another may follow, by the budget of the day."""
    guard, now = context.state.guard, context.now
    trouble = guard.trouble or (guard.repair.trouble if guard.repair else "gone")
    guard.repair, guard.looked = None, now
    plan = rules.repair(context.state, trouble, removed=False, now=now)
    tell_lost(context, champion, f"Slot {champion.slot} of {champion.endpoint} {why}: {plan.reason}", repairs=False)
    context.save()
    return 0.0 if plan.act else plan.again_in


def act(context: LoopContext, champion: Champion, repair: Repair) -> float | None:
    """Begin what comes next: nothing here waits, and everything can be begun again."""
    workspace, name, slot = context.cloud.workspace, champion.endpoint, champion.slot
    view, found = workspace.endpoint(name), workspace.deployment(name, slot)
    if view is None:
        return _make_endpoint(context, champion, repair)
    if found is None:
        return _deploy(context, champion, repair)
    if found.state == "failed" and view.traffic.get(slot):
        workspace.begin_traffic(name, {})
    elif found.state == "failed":
        workspace.begin_delete_deployment(name, slot)
    else:
        workspace.begin_traffic(name, {slot: 100})
    return poll(context)


def _make(context: LoopContext, champion: Champion, repair: Repair, begin: Callable[[], None]) -> float | None:
    if repair.attempts >= rules.MOST_ATTEMPTS:
        return give_up(context, champion, f"did not come back in {repair.attempts} attempts{repair.error}")
    with counted(context, repair, lambda why: setattr(repair, "error", why)):
        begin()
    return poll(context)


def silent(context: LoopContext, champion: Champion, repair: Repair) -> float | None:
    """A slot may need a moment after its deployment."""
    repair.asked += 1
    context.save()
    if repair.asked >= rules.MOST_ASKED:
        return give_up(context, champion, f"is there, but did not answer {repair.asked} requests")
    return poll(context)


def _make_endpoint(context: LoopContext, champion: Champion, repair: Repair) -> float | None:
    """What is taken leaves all attempts to the deployments."""
    wait = _make(context, champion, repair, lambda: make_endpoint(context, champion.endpoint))
    repair.attempts = max(repair.attempts - 1, 0)
    context.save()
    return wait


def _deploy(context: LoopContext, champion: Champion, repair: Repair) -> float | None:
    """The endpoint's address may be another one than that of the endpoint that is gone."""
    view = context.cloud.workspace.endpoint(champion.endpoint)
    champion.scoring_uri = (view.scoring_uri if view else "") or champion.scoring_uri
    return _make(
        context,
        champion,
        repair,
        lambda: make_deployment(context, champion.endpoint, champion.slot, champion.model, champion.run),
    )
