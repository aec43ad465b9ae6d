"""Where a loop stands at a glance: a word, how it is meant, and which model answers meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from services.decisions import train
from services.decisions.decision import held
from services.state import UNEXPECTED, LoopState, Trouble

Tone = Literal["good", "busy", "idle", "warn", "bad"]
HOLDS = frozenset({"config", "preflight", "backoff", "cooldown", "daily_cap", "budget"})
"""Rules that hold a training run back which has all its labels."""
NOT_LIVE = {"rejected": "was no better", "failed": "could not be deployed", "rolled_back": "was taken back"}


def standing(state: LoopState, now: datetime, prices: str = "") -> dict[str, str]:
    """`word`, its `tone`, and `live`: what answers predictions; `prices` of the settings."""
    looks: tuple[Callable[[], tuple[str, Tone] | None], ...] = (
        lambda: _lost(state),
        lambda: _under_way(state),
        lambda: _stopped(state),
        lambda: ("Held", "warn") if _is_held(state, now, prices) else None,
    )
    word, tone = next((found for look in looks if (found := look())), None) or _quiet(state)
    return {"word": word, "tone": tone, "live": live(state)}


def _lost(state: LoopState) -> tuple[str, Tone] | None:
    """During a rollout nobody looks, and what was found before may be past."""
    trouble = state.guard.trouble
    if trouble is None or state.open_rollout is not None:
        return None
    if state.guard.repair is not None:
        return "Bringing it back", "warn"
    words: dict[Trouble, tuple[str, Tone]] = {
        "gone": ("Not served", "bad"),
        "failed": ("Not served", "bad"),
        "taken": ("Taken over", "bad"),
        "traffic": ("Traffic was moved", "warn"),
    }
    return words[trouble]


def _under_way(state: LoopState) -> tuple[str, Tone] | None:
    if (rollout := state.open_rollout) is not None:
        return ("Waits for your yes", "warn") if rollout.step == "approve" else ("Rolling out", "busy")
    if (run := state.active_run) is not None:
        return ("Waits for a machine", "warn") if run.waiting else ("Training", "busy")
    if any(d.status == "registering" for d in state.datasets):
        return "Registering data", "busy"
    return None


def _stopped(state: LoopState) -> tuple[str, Tone] | None:
    if any(reason.startswith(UNEXPECTED) for reason in state.reasons.values()):
        return "Something failed", "bad"
    if state.config.problems:
        return "loop.yaml is wrong", "bad"
    if state.paused:
        return "Paused", "warn"
    if state.runs and state.runs[-1].status == "failed":
        return "Training failed", "bad"
    return None


def _is_held(state: LoopState, now: datetime, prices: str) -> bool:
    from services.training.facts import facts_of

    first = next(held(train.RULES, facts_of(state, now, prices)), None)
    return first is not None and first.facts["rule"] in HOLDS


def _quiet(state: LoopState) -> tuple[str, Tone]:
    if state.resting is not None:
        return "Resting", "idle"
    return ("Live", "good") if state.champion else ("Waits for labels", "idle")


def live(state: LoopState) -> str:
    """Which model answers predictions, and what became of a newer one that does not."""
    champion, last = state.champion, state.runs[-1] if state.runs else None
    if champion is None:
        return "No model is live yet."
    name = f"{champion.model.name}:{champion.model.version}"
    how = "rests" if state.resting is not None else "is live and answers predictions"
    if state.guard.trouble is not None:
        silent = "does not answer" if state.guard.trouble in ("gone", "failed") else "not as it was left"
        how = f"is live, but {silent} ({state.guard.reason})"
    ended = NOT_LIVE.get(last.rollout) if last is not None and last.number > champion.run else None
    newer = f" The model of run {last.number} {ended}." if last is not None and ended else ""
    return f"The model of run {champion.run} ({name}) {how}.{newer}"
