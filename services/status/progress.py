"""How far a loop is: what it does now, and what its next training run waits for."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from services.decisions.train import needed_for_retrain
from services.decisions.train_facts import Facts
from services.state import LoopState, Rollout, RolloutStep, TrainingRun


def doing(state: LoopState) -> str:
    """In one sentence what the loop is doing right now."""
    if (rollout := state.open_rollout) is not None:
        return f"Rolling out run {rollout.run} in slot {rollout.slot}: {_step(rollout)}"
    if state.guard.repair is not None:
        return f"Bringing the live model back: {state.guard.reason}"
    if state.resting is not None and state.active_run is None:
        return f"{_RESTS[state.resting.phase]}: {state.resting.reason}"
    if (run := state.active_run) is not None:
        return run.waiting or f"Training run {run.number} on dataset version {run.dataset_version}: {_phase(run)}"
    building = next((d for d in state.datasets if d.status == "registering"), None)
    if building is not None:
        return f"Registering dataset version {building.number}"
    waiting = [f"{why.rstrip('.')}." for stage in ("dataset", "training") if (why := state.reasons.get(stage))]
    return " ".join(["Waiting.", *dict.fromkeys(waiting)])


_RESTS = {
    "falling": "The endpoint goes to rest",
    "asleep": "The endpoint rests until the next prediction is asked for",
    "waking": "The endpoint wakes",
}
_STEPS: dict[RolloutStep, str] = {
    "endpoint": "its endpoint is made",
    "deploy": "it is deployed",
    "smoke": "it is asked for the first time",
    "evaluate": "it is measured on the validation images",
    "decide": "it is compared with the live model",
    "approve": "somebody's yes is waited for",
    "mirror": "predictions are copied to it, which nobody sees",
    "canary": "a share of the predictions goes to it",
    "shift": "all predictions go to it",
    "keep": "it is live, and the slot before is kept for a while",
    "revert": "all predictions go back to the model before",
    "retire": "the slot before is removed",
    "abandon": "it is removed again",
    "done": "done",
}


def _step(rollout: Rollout) -> str:
    """What a rollout does now, with how far it is where that is counted."""
    counts = {
        "evaluate": (rollout.holdout_images, f"{rollout.evaluated.get(rollout.slot, 0)} of {rollout.holdout_images}"),
        "mirror": (rollout.mirror, f"{rollout.mirror} %"),
        "canary": (rollout.share, f"{rollout.share} %"),
    }
    counted, shown = counts.get(rollout.step, (0, ""))
    return f"{_STEPS[rollout.step]} ({shown})" if counted else _STEPS[rollout.step]


def _phase(run: TrainingRun) -> str:
    """Azure ML's word for where a job is, such as NotStarted, as people write it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", run.phase or run.status).lower()


def progress(state: LoopState) -> dict[str, Any]:
    """Images toward the next training run, by the numbers that the training policy goes by.

    `classes` has images of every class that is still short of `per_class`, before the first run only.
    """
    facts = Facts(state, "", datetime.now(UTC))
    if facts.trained is not None:
        wanted = needed_for_retrain(facts)
        return {"toward": "the next training run", "have": min(facts.new, wanted), "of": wanted}
    first, counts = state.config.config.training.first_threshold, state.catalogue.images_per_class
    names = state.config.config.classes or state.catalogue.classes
    short = {name: counts.get(name, 0) for name in names if counts.get(name, 0) < first.per_class}
    have = min(state.catalogue.labelled, first.images)
    whole = {"toward": "the first training run", "have": have, "of": first.images}
    return {**whole, "per_class": first.per_class, "classes": short}
