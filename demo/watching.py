"""Watches a loop close: what its timeline tells, how far its trials are, and when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.markup import escape

from demo.screen import Screen
from devtools.client import Client, Refused, Unreachable
from devtools.follow import event_line

LOOK_SECONDS = 1.0
OVER = {"promoted", "rejected", "failed", "superseded"}
COLOURS = {"failed": "red", "rejected": "yellow", "problems": "yellow", "error": "red", "promoted": "green"}


class NotClosed(Exception):
    """The loop did not close; the message says why, as the app tells it."""


class Watch:
    """Shows what is new at each look."""

    def __init__(self, client: Client, loop: str, screen: Screen) -> None:
        """Nothing is asked yet."""
        self._client, self._loop, self._screen = client, loop, screen
        self._shown: set[str] = set()
        self._doing = ""

    def until_closed(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
        """Look until the loop has a champion and its rollout is over; returns its status.

        Raises:
            NotClosed: a bad configuration, a failed run or rollout, nothing to learn from, or no end in time.
        """
        ends = clock() + seconds
        while clock() < ends:
            status = self._look()
            if failure(status):
                raise NotClosed(failure(status))
            if is_closed(status):
                return status
            time.sleep(LOOK_SECONDS)
        raise NotClosed(
            f"The loop did not close within {seconds / 60:.0f} minutes. It says: {self._doing or 'nothing'}"
        )

    def _look(self) -> dict[str, Any]:
        """The status now; empty while the app, or the loop, is not there."""
        try:
            status = self._client.status(self._loop)
            self._show_events()
            self._show_trials({run["job"]: run["number"] for run in status.get("runs") or []})
        except (Refused, Unreachable):
            return {}  # the host may be just being started again
        self._show_doing(status)
        return status

    def _show_events(self) -> None:
        for event in self._client.timeline(self._loop):
            if event["id"] not in self._shown:
                self._shown.add(event["id"])
                colour = COLOURS.get(str(event["type"]).rpartition(".")[2], "bold")
                self._screen.say(f"[{colour}]{escape(event_line(event))}[/]")

    def _show_trials(self, runs: Mapping[str, int]) -> None:
        for job in self._client.training()["jobs"]:
            if job["name"] in runs:
                self._show_run(runs[job["name"]], job)

    def _show_run(self, number: int, job: dict[str, Any]) -> None:
        if job["features"]:
            done, total = job["features"]
            self._screen.bar(f"run {number}, features of the images", done, total)
        if done := max((len(series) for series in (job.get("history") or {}).values()), default=0):
            self._screen.bar(f"run {number}, epochs", done, done, figures(job))  # a script's; it says not how many
        for count, trial in enumerate(job["trials"], 1):
            if trial["epochs"]:
                done, total = trial["epochs"]
                self._screen.bar(f"run {number}, trial {count}, epochs", done, total, figures(trial))

    def _show_doing(self, status: dict[str, Any]) -> None:
        """What the loop is doing, where that has changed; steps of a rollout are no events of their own."""
        doing = str(status.get("doing") or "")
        if doing and doing != self._doing and not doing.startswith("Waiting"):
            self._screen.say(f"[dim]          {escape(doing)}[/]")
        self._doing = doing
        rollout = status.get("rollout") or {}
        for slot, count in (rollout.get("evaluated") or {}).items():
            self._screen.bar(f"holdout images judged in {slot}", count, rollout["holdout_images"])


def is_closed(status: dict[str, Any]) -> bool:
    """Whether a champion is live and the newest run's rollout is over."""
    runs = status.get("runs") or []
    return bool(status.get("champion")) and bool(runs) and runs[-1]["rollout"] in OVER


def failure(status: dict[str, Any]) -> str:
    """Why the loop will not close by itself; empty where it still may."""
    problems = (status.get("config") or {}).get("problems") or []
    if problems:
        return "loop.yaml is refused: " + "; ".join(
            f"{p['place']}: {p['expected']}, not {p['found']}" for p in problems
        )
    last = (status.get("runs") or [{}])[-1]
    if last.get("status") in {"failed", "canceled"}:
        return f"Training run {last['number']} {last['status']}: {last.get('reason', '')}"
    if last.get("rollout") in {"rejected", "failed"} and not status.get("champion"):
        return f"The rollout of run {last['number']} was {last['rollout']}: {last.get('reason', '')}"
    return ""


def figures(trial: dict[str, Any]) -> str:
    """A trial's parameters and newest metrics."""
    metrics = trial["metrics"]
    shown = [f"{name} {metrics[key]:.3f}" for key, name in METRICS.items() if key in metrics]
    rate = (trial.get("parameters") or {}).get("learning_rate")
    return "  ".join([f"lr {rate}", *shown] if rate is not None else shown)


METRICS = {"train_loss": "loss", "mean_average_precision": "mAP", "map50": "mAP50", "accuracy": "accuracy"}
