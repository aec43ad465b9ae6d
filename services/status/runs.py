"""Training runs to look at: trials with parameters and curves, the best first, as JSON and as pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.cloud.ports.storage import BlobStore
from services.errors import BadRequest, NotFound
from services.names import check_loop_name
from services.state import LoopState, TrainingRun
from services.state_store import StateStore
from services.status.charts import line_chart
from services.training.trials import KeptTrial, read

USUAL = ("mean_average_precision", "map50", "accuracy", "iou", "train_loss")
"""Metrics that a picture shows where none is asked for, the first that there is."""


class Runs:
    """Documents and pictures over what the training stage kept."""

    def __init__(self, states: StateStore, system: BlobStore) -> None:
        """Nothing is looked up in Azure ML."""
        self._states, self._system = states, system

    def is_picture(self, form: str | None) -> bool:
        """Whether the runs are asked for as a picture.

        Raises:
            BadRequest: as something else than svg or json.
        """
        if form not in (None, "json", "svg"):
            raise BadRequest("format must be one of json, svg")
        return form == "svg"

    def leaderboard(self, loop: str, metric: str | None) -> dict[str, Any]:
        """Every run with its best trial, the best run first; ranked by `metric`, or by what was measured usually.

        Raises:
            BadRequest, NotFound: there is no such loop, or no run of it has such a metric.
        """
        state = self._states.read(check_loop_name(loop))
        named = _measured(state, metric)
        rows = sorted((_row(run, named) for run in state.runs), key=_rank)
        return {"loop": loop, "metric": named, "champion_run": _champion(state), "runs": rows}

    def run(self, loop: str, number: str) -> dict[str, Any]:
        """A run with its trials: parameters, last values and curves.

        Raises:
            BadRequest, NotFound: there is no such loop or run.
        """
        found, trials = self._found(loop, number)
        named = _usual((dict.fromkeys(trial.metrics, 0.0) for trial in trials), found.metrics)
        shown = sorted((_trial(trial, named, found.best_child) for trial in trials), key=_rank)
        address = f"/api/loops/{loop}/runs/{found.number}/plot"
        pictures = {name: f"{address}?metric={name}" for name in _metrics(trials)}
        return {**found.model_dump(mode="json"), "metric": named, "trials": shown, "plots": pictures}

    def plot(self, loop: str, number: str, metric: str | None) -> str:
        """The curves of a metric of all trials of a run, as SVG.

        Raises:
            BadRequest: the run has no such metric.
            NotFound: there is no such loop or run.
        """
        found, trials = self._found(loop, number)
        known = _metrics(trials)
        named = metric or next((name for name in USUAL if name in known), None) or next(iter(known), USUAL[0])
        if metric is not None and known and metric not in known:
            raise BadRequest(f"metric must be one of {', '.join(known)}")
        curves = {_short(trial.name): trial.metrics.get(named, []) for trial in trials}
        return line_chart(f"Run {found.number}: {named}", curves)

    def comparison(self, loop: str, metric: str | None) -> str:
        """The best value of a metric run by run, as SVG.

        Raises:
            BadRequest, NotFound: there is no such loop.
        """
        state = self._states.read(check_loop_name(loop))
        named = _measured(state, metric)
        points = [(run.number, run.metrics[named]) for run in state.runs if named in run.metrics]
        return line_chart(f"{loop}: {named} by run", {"best trial": points}, steps="run")

    def _found(self, loop: str, number: str) -> tuple[TrainingRun, list[KeptTrial]]:
        state = self._states.read(check_loop_name(loop))
        run = next((run for run in state.runs if str(run.number) == number), None)
        if run is None:
            raise NotFound(f"Loop {loop} has no training run {number[:20]}")
        kept = read(self._system, loop, run.number)
        return run, kept.trials if kept else []


def _row(run: TrainingRun, metric: str) -> dict[str, Any]:
    fields = {"number", "status", "dataset_version", "best_child", "metrics", "model", "rollout", "cost", "currency"}
    return {**run.model_dump(mode="json", include=fields), "value": run.metrics.get(metric)}


def _trial(trial: KeptTrial, metric: str, best: str) -> dict[str, Any]:
    last = {name: points[-1][1] for name, points in trial.metrics.items() if points}
    return {**trial.model_dump(mode="json"), "value": last.get(metric), "last": last, "best": trial.name == best}


def _rank(row: dict[str, Any]) -> tuple[bool, float]:
    """The best first, what has no value last."""
    value = row["value"]
    return value is None, -(value or 0.0)


def _usual(measured: Iterable[dict[str, float]], more: dict[str, float] | None = None) -> str:
    names = set(more or {}).union(*measured)
    return next((name for name in USUAL if name in names), USUAL[0])


def _measured(state: LoopState, metric: str | None) -> str:
    """The metric that is asked for, which some run has, or else the usual one."""
    known = sorted({name for run in state.runs for name in run.metrics})
    if metric and known and metric not in known:
        raise BadRequest(f"metric must be one of {', '.join(known)}")
    return metric or _usual(run.metrics for run in state.runs)


def _metrics(trials: list[KeptTrial]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.metrics))


def _short(trial: str) -> str:
    """The trial's number within its run."""
    return f"trial {trial.rpartition('_')[2]}"


def _champion(state: LoopState) -> int | None:
    return state.champion.run if state.champion else None
