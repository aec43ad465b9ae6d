"""The explanation's second half: whether the challenger would be promoted, and what the traffic waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from services.decisions import rollout
from services.decisions.canary import judge
from services.decisions.explain_bar import bar
from services.decisions.explanation import Explanation, Missing
from services.state import Champion, LoopState, Resting, Rollout, RolloutStep, Watched


def promotion(state: LoopState) -> Explanation:
    """A challenger would be promoted where it was found better, and nobody's yes is waited for."""
    under_way = _under_way(state)
    if under_way is None:
        last = f"; {_ended(state.rollout)}" if state.rollout else ""
        return Explanation("promotion", bar(state), (Missing("challenger", f"No challenger is measured{last}"),))
    if not under_way.decision:
        return Explanation("promotion", bar(state), (_unmeasured(under_way, state.champion),))
    missing = _missing_yes(under_way) if under_way.step == "approve" else ()
    return Explanation("promotion", under_way.decision, tuple(missing))


def _under_way(state: LoopState) -> Rollout | None:
    return state.rollout if state.rollout and state.rollout.step != "done" else None


def _ended(last: Rollout) -> str:
    """How the last rollout ended; why, where its model is not live by it."""
    if last.outcome == "promoted":
        return f"the model of run {last.run} went live"
    how = {"rejected": "was rejected", "failed": "could not be rolled out", "rolled_back": "was rolled back"}
    why = f": {last.decision}" if last.decision else ""
    return f"the last one, of run {last.run}, {how.get(last.outcome, 'ended')}{why}"


def _unmeasured(under_way: Rollout, champion: Champion | None) -> Missing:
    done, whole = under_way.evaluated.get(under_way.slot, 0), under_way.holdout_images
    said = f"{done} of {whole} holdout images" if whole else "no holdout image"
    asked = whole and done == whole and champion is not None and not under_way.unopposed
    other = f", the champion {under_way.evaluated.get(champion.slot, 0)}" if asked and champion else ""
    reason = f"Run {under_way.run} has answered {said}{other} (step {under_way.step})"
    return Missing("measured", reason, {"have": done, "needed": whole})


def _missing_yes(under_way: Rollout) -> Iterator[Missing]:
    asked = under_way.approval
    until = f" until {asked.expires:%Y-%m-%d %H:%M} UTC" if asked else ""
    yield Missing("approval", f"Somebody's yes to run {under_way.run} is waited for{until}")


def traffic(state: LoopState) -> Explanation:
    """A rollout would begin where a model waits and none is under way."""
    found, under_way = rollout.candidates(state), _under_way(state)
    if under_way is not None:
        said = f"Run {under_way.run} is rolled out in slot {under_way.slot}: {under_way.step}"
        return Explanation("rollout", said, (*_waits(state, under_way), *_next_in_line(state, under_way)))
    if state.guard.repair is not None:
        return Explanation("rollout", "No rollout would start now", tuple(_returns(state)))
    if state.resting is not None:
        return Explanation("rollout", "No rollout would start now", tuple(_rests(state, state.resting)))
    if state.rollout_next is not None:
        order = state.rollout_next
        return Explanation("rollout", f"Run {order.run} goes live: {order.kind} was asked for{order.order.signed}")
    if found.next is not None:
        where = "beside the champion" if state.champion else "as the first model"
        return Explanation("rollout", f"The model of run {found.next.number} would be deployed {where}")
    return Explanation("rollout", "No rollout would start now", tuple(_no_candidate(state)))


def _rests(state: LoopState, resting: Resting) -> Iterator[Missing]:
    """Said of the endpoint too: it is why predictions are not answered at once."""
    how = {"falling": "goes to rest", "asleep": "rests", "waking": "is waking"}[resting.phase]
    waits = " first, and the model that waits is deployed then" if _waiting(state) or state.rollout_next else ""
    yield Missing("resting", f"The champion's endpoint {how}{waits}: {resting.reason}")
    if not state.rollout_next:
        yield from _no_candidate(state)


def _returns(state: LoopState) -> Iterator[Missing]:
    """Said of the live slot too, as of one that rests."""
    waits = " first, and the model that waits is deployed then" if _waiting(state) or state.rollout_next else ""
    yield Missing("guard", f"The champion is being brought back{waits}: {state.guard.reason}")
    if not state.rollout_next:
        yield from _no_candidate(state)


def _waiting(state: LoopState) -> list[int]:
    return [run.number for run in state.runs if run.rollout == "pending"]


def _next_in_line(state: LoopState, under_way: Rollout) -> Iterator[Missing]:
    if later := [number for number in _waiting(state) if number != under_way.run]:
        yield Missing("next", f"The model of run {max(later)} waits until this rollout is over", {"run": max(later)})


def _no_candidate(state: LoopState) -> Iterator[Missing]:
    if not _waiting(state):
        yield Missing("candidate", "No model waits to be rolled out")
    if state.paused:
        yield Missing("paused", state.paused)


_STEPS: Mapping[RolloutStep, str] = {
    "endpoint": "Azure ML is creating the endpoint",
    "deploy": "Azure ML is deploying the model, which takes minutes",
    "smoke": "The slot has not answered its first image",
    "decide": "Challenger and champion are compared at the next look",
    "mirror": "Copies of the users' requests go to the challenger, which is watched",
    "shift": "Azure ML is moving the traffic",
    "revert": "Azure ML is moving the traffic back",
    "retire": "Azure ML is removing the old slot",
    "abandon": "Azure ML is removing the challenger's slot",
}


def _waits(state: LoopState, under_way: Rollout) -> Iterator[Missing]:
    if under_way.held is not None:
        yield Missing("held", f"The traffic is held{under_way.held.signed}")
    special: Mapping[RolloutStep, Callable[[], Iterator[Missing]]] = {
        "evaluate": lambda: iter([_unmeasured(under_way, state.champion)]),
        "approve": lambda: _missing_yes(under_way),
        "canary": lambda: _baking(state, under_way),
        "keep": lambda: _kept(state, under_way),
    }
    if under_way.step in special:
        yield from special[under_way.step]()
    elif under_way.step in _STEPS:
        yield Missing(under_way.step, _STEPS[under_way.step])


def _baking(state: LoopState, under_way: Rollout) -> Iterator[Missing]:
    """By the same judgement that a breach is found with."""
    policy, champion = state.config.config.rollout, state.champion
    seen = under_way.watched.get(under_way.slot, Watched())
    verdict = judge(policy.health, seen, under_way.watched.get(champion.slot) if champion else None)
    until = _after(under_way, policy.bake_seconds)
    share = f"{under_way.share} % of the predictions go to run {under_way.run}{until}"
    yield Missing("canary", f"{share}; {verdict.reason}", {"share": under_way.share, "plan": policy.canary})


def _kept(state: LoopState, under_way: Rollout) -> Iterator[Missing]:
    until = _after(under_way, state.config.config.rollout.rollback_window_minutes * 60)
    yield Missing("keep", f"Run {under_way.run} is live; the old slot is kept for a rollback{until}")


def _after(under_way: Rollout, seconds: float) -> str:
    since = under_way.watched_since
    return f" until {since + timedelta(seconds=seconds):%H:%M:%S} UTC" if since else ""
