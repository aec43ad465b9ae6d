"""Status as JSON: where a loop stands, why, and what it waits for."""

from __future__ import annotations

from typing import Any

from services.errors import BadRequest
from services.names import check_loop_name
from services.state import LoopState
from services.state_store import StateStore
from services.timeline import Timeline

NEWEST_EVENTS = 20
MOST_EVENTS = 500


class Status:
    """Documents over the stored state."""

    def __init__(self, states: StateStore, timeline: Timeline) -> None:
        """Nothing is looked up in Azure ML: what is shown is what the controller knows."""
        self._states, self._timeline = states, timeline

    def loops(self) -> dict[str, Any]:
        """A line a loop."""
        return {"loops": [_summary(self._states.read(name)) for name in self._states.loops()]}

    def loop(self, name: str) -> dict[str, Any]:
        """Everything about a loop.

        Raises:
            BadRequest, NotFound: there is no such loop.
        """
        state = self._states.read(check_loop_name(name))
        shown = state.model_dump(mode="json", exclude={"outbox"})
        problems = [*shown["config"]["problems"], *shown["catalogue"]["problems"]]
        events = [e.model_dump(mode="json") for e in self._timeline.read(name, NEWEST_EVENTS)]
        return {**_summary(state), **shown, "problems": problems, "progress": _progress(state), "timeline": events}

    def timeline(self, name: str, query: dict[str, str]) -> dict[str, Any]:
        """A page of a loop's events, newest first; `next` is the `before` of the next page.

        Raises:
            BadRequest, NotFound: there is no such loop, or the query is wrong.
        """
        self._states.read(check_loop_name(name))
        limit = query.get("limit", "100")
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MOST_EVENTS):
            raise BadRequest(f"limit must be a number from 1 to {MOST_EVENTS}")
        events = self._timeline.read(name, int(limit), query.get("before"))
        following = events[-1].id if len(events) == int(limit) else None
        return {"events": [e.model_dump(mode="json") for e in events], "next": following}


def _summary(state: LoopState) -> dict[str, Any]:
    champion, active, dataset = state.champion, state.active_run, state.dataset
    return {
        "loop": state.loop,
        "task": state.catalogue.task or state.config.config.task,
        "doing": _doing(state),
        "images": state.catalogue.images,
        "labelled": state.catalogue.labelled,
        "dataset_version": dataset.number if dataset else None,
        "active_run": active.number if active else None,
        "champion_model": f"{champion.model.name}:{champion.model.version}" if champion else None,
        "champion_score": champion.score if champion else None,
    }


def _doing(state: LoopState) -> str:
    """In one sentence what the loop is doing right now."""
    if state.rollout is not None and not state.rollout.outcome:
        return f"Rolling out run {state.rollout.run} in slot {state.rollout.slot}: {state.rollout.step}"
    if (run := state.active_run) is not None:
        return f"Training run {run.number} on dataset version {run.dataset_version}: {run.phase or run.status}"
    building = next((d for d in state.datasets if d.status == "registering"), None)
    if building is not None:
        return f"Registering dataset version {building.number}"
    waiting = [state.reasons[stage] for stage in ("dataset", "training") if state.reasons.get(stage)]
    return f"Waiting. {' '.join(waiting)}".strip()


def _progress(state: LoopState) -> dict[str, Any]:
    """How far the loop is to its next training run."""
    dataset, threshold = state.dataset, state.config.config.training
    if not state.runs:
        wanted, have = threshold.first_threshold.images, state.catalogue.labelled
        return {"toward": "the first training run", "have": min(have, wanted), "of": wanted}
    wanted = threshold.retrain_threshold.new_images
    have = dataset.new_since_trained if dataset and dataset.number != state.runs[-1].dataset_version else 0
    return {"toward": "the next training run", "have": min(have, wanted), "of": wanted}
