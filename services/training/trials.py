"""Keeps what a run's trials tried and reached, epoch by epoch: `runs/<loop>/<number>.json` in the system container."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pydantic import BaseModel, Field

from services.cloud.ports.storage import BlobStore
from services.cloud.ports.training import Trial
from services.context import LoopContext
from services.errors import NotFound, VisionloopError
from services.state import TrainingRun

log = logging.getLogger(__name__)
_OVER = {"completed", "failed", "canceled"}


class KeptTrial(BaseModel):
    """A trial; its metrics as (step, value), a step being an epoch mostly."""

    name: str
    status: str
    parameters: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float]]] = Field(default_factory=dict)


class KeptRun(BaseModel):
    """All that is known of a run's trials."""

    run: int
    job: str
    trials: list[KeptTrial] = Field(default_factory=list)


def place(loop: str, number: int) -> str:
    """The blob of a run's trials."""
    return f"runs/{loop}/{number}.json"


def read(system: BlobStore, loop: str, number: int) -> KeptRun | None:
    """What is kept of a run, or None."""
    try:
        return KeptRun.model_validate_json(system.read(place(loop, number)).data)
    except NotFound:
        return None


def keep(context: LoopContext, run: TrainingRun) -> None:
    """Take down how the trials stand. They are to look at: that they cannot be read holds nothing up."""
    system, loop = context.cloud.system, context.loop
    kept = read(system, loop, run.number) or KeptRun(run=run.number, job=run.job)
    over = {trial.name: trial for trial in kept.trials if trial.status in _OVER}
    try:
        found = context.cloud.workspace.trials(run.job, over.keys())
    except VisionloopError as error:
        log.warning("The trials of run %s of loop %s are not shown: %s", run.number, loop, error.detail)
        return
    if found:
        trials = [*over.values(), *_kept(found)]
        now = KeptRun(run=run.number, job=run.job, trials=sorted(trials, key=lambda trial: trial.name))
        system.write(place(loop, run.number), now.model_dump_json().encode())


def _kept(found: Iterable[Trial]) -> Iterable[KeptTrial]:
    for trial in found:
        metrics = {name: [(step, value) for step, value in points] for name, points in trial.metrics.items()}
        yield KeptTrial(name=trial.name, status=trial.status, parameters=dict(trial.parameters), metrics=metrics)
