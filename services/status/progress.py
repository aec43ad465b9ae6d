"""How far a loop is: what it does now, and what its next training run waits for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.decisions.train import needed_for_retrain
from services.decisions.train_facts import Facts
from services.state import LoopState


def doing(state: LoopState) -> str:
    """In one sentence what the loop is doing right now."""
    if state.rollout is not None and not state.rollout.outcome:
        return f"Rolling out run {state.rollout.run} in slot {state.rollout.slot}: {state.rollout.step}"
    if state.resting is not None and state.active_run is None:
        return f"The endpoint rests ({state.resting.phase}): {state.resting.reason}"
    if (run := state.active_run) is not None:
        at = run.phase or run.status
        return run.waiting or f"Training run {run.number} on dataset version {run.dataset_version}: {at}"
    building = next((d for d in state.datasets if d.status == "registering"), None)
    if building is not None:
        return f"Registering dataset version {building.number}"
    waiting = [f"{why.rstrip('.')}." for stage in ("dataset", "training") if (why := state.reasons.get(stage))]
    return " ".join(["Waiting.", *dict.fromkeys(waiting)])


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
