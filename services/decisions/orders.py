"""What a person's word on a rollout comes to as things stand: the same for the answer over HTTP and for the act."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from services.decisions.rollout import CANCELLABLE
from services.state import Champion, LoopState, Rollout, TrainingRun

Word = Literal["promote", "rollback", "hold", "resume"]
Effect = Literal["advance", "begin", "cancel", "revert", "restore", "recover", "hold", "resume", "nothing", "refused"]
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
HOLDABLE = CANCELLABLE | {"keep"}


@dataclass(frozen=True, slots=True)
class Answer:
    """`nothing` where it is so already; `refused` where it cannot be."""

    effect: Effect
    says: str
    run: int | None = None


def answer(word: Word, state: LoopState, number: int | None = None) -> Answer:
    """What a word comes to; `number` is the run that is meant, where the person says which.

    A word that names its run can be repeated without harm: a second one finds that it is so already.
    """
    rollout = state.rollout if state.rollout and state.rollout.step != "done" else None
    if word == "promote":
        return _promote(state, rollout, number)
    if word == "rollback":
        return _rollback(state, rollout, number)
    return _hold(word, rollout, number)


def _promote(state: LoopState, rollout: Rollout | None, number: int | None) -> Answer:
    champion = state.champion
    if number is not None and champion is not None and champion.run == number:
        return _promote_champion(state, rollout, number)
    if rollout is not None and number in (None, rollout.run):
        return _advance(rollout)
    if rollout is not None:
        return Answer("refused", f"The rollout of run {rollout.run} is under way, in step {rollout.step}")
    if number is None:
        return Answer("refused", "No rollout is under way: name the run whose model is to go live")
    return _begin(state, number)


def _promote_champion(state: LoopState, rollout: Rollout | None, number: int) -> Answer:
    """Of what somebody took away outside of Visionloop: it is brought back, whatever loop.yaml and the budget say."""
    guard = state.guard
    if guard.trouble is None or guard.repair is not None or rollout is not None:
        doing = "is being brought back" if guard.repair else "is live"
        return Answer("nothing", f"The model of run {number} {doing} already", number)
    if guard.trouble == "taken":
        return Answer("refused", guard.reason)
    return Answer("recover", f"The model of run {number} is brought back, with all traffic", number)


def _advance(rollout: Rollout) -> Answer:
    if rollout.outcome == "promoted":
        return Answer("nothing", f"The model of run {rollout.run} is live already", rollout.run)
    if rollout.step not in CANCELLABLE:
        return Answer(
            "refused", f"The rollout of run {rollout.run} has ended, {rollout.outcome}; try again when it is over"
        )
    if rollout.order is not None:
        return Answer("nothing", f"It was asked for already{rollout.order.order.signed}", rollout.run)
    said = f"The model of run {rollout.run} goes live without approval and canary, whatever is measured"
    return Answer("advance", said, rollout.run)


def _begin(state: LoopState, number: int) -> Answer:
    run = next((r for r in state.runs if r.number == number), None)
    if run is None or run.model is None:
        return Answer("refused", f"Run {number} has no model")
    if state.rollout_next is not None:
        return Answer("nothing", f"The model of run {state.rollout_next.run} is to go live already", number)
    return Answer("begin", f"The model of run {number} is deployed and goes live, whatever is measured", number)


def _rollback(state: LoopState, rollout: Rollout | None, number: int | None) -> Answer:
    if rollout is not None and number in (None, rollout.run):
        return _back_out(rollout)
    if rollout is not None:
        return Answer("refused", f"The rollout of run {rollout.run} is under way, in step {rollout.step}")
    champion = state.champion
    if champion is None:
        return Answer("refused", "No model is live")
    if number is not None and champion.run != number:
        return Answer("nothing", f"Run {number} is not live, run {champion.run} is", number)
    before = previous(state)
    if before is None:
        return Answer("refused", f"No model was live before that of run {champion.run}")
    if state.rollout_next is not None:
        return Answer("nothing", f"The model of run {state.rollout_next.run} is to go live already", champion.run)
    return Answer("restore", f"The model of run {before.number} is deployed again and goes live", before.number)


def _back_out(rollout: Rollout) -> Answer:
    if rollout.step in CANCELLABLE:
        return Answer("cancel", f"The rollout of run {rollout.run} is ended, the champion stays", rollout.run)
    if rollout.step == "keep":
        return Answer("revert", f"Traffic goes back from run {rollout.run} to the champion before", rollout.run)
    if rollout.outcome == "promoted" and rollout.step == "retire":
        return Answer("refused", "The old slot is being removed; ask again when that is over, and it is deployed anew")
    return Answer("nothing", f"The rollout of run {rollout.run} is being taken back already", rollout.run)


def previous(state: LoopState) -> TrainingRun | None:
    """The run that was live last before the champion, and was not rolled back."""
    champion = state.champion
    if champion is None:
        return None
    stayed = [r for r in state.runs if r.rollout == "promoted" and r.model is not None and r.number != champion.run]
    earlier = [r for r in stayed if _was_live_before(r, champion)]
    return max(earlier, key=lambda r: (r.went_live or _LONG_AGO, r.number), default=None)


def _was_live_before(run: TrainingRun, champion: Champion) -> bool:
    """By number where a document of an earlier version does not say when."""
    return run.went_live < champion.promoted if run.went_live else run.number < champion.run


def _hold(word: Word, rollout: Rollout | None, number: int | None) -> Answer:
    if rollout is None or number not in (None, rollout.run) or rollout.step not in HOLDABLE:
        return Answer("refused", "No rollout is under way whose traffic could be held")
    if word == "hold":
        if rollout.held is not None:
            return Answer("nothing", f"It is held already{rollout.held.signed}", rollout.run)
        return Answer("hold", f"The traffic of the rollout of run {rollout.run} stays where it is", rollout.run)
    if rollout.held is None:
        return Answer("nothing", "Nobody holds it", rollout.run)
    return Answer("resume", f"The rollout of run {rollout.run} goes on", rollout.run)
