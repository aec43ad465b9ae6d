"""Status as JSON: where a loop stands, why, and what it waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from services.errors import BadRequest, NotFound
from services.names import check_loop_name
from services.state import LoopState
from services.state_store import StateStore
from services.status.progress import doing, progress
from services.status.serving import serving
from services.status.standing import standing
from services.timeline import Timeline, sequence_of

NEWEST_EVENTS = 20
MOST_EVENTS = 500


class Status:
    """Documents over the stored state."""

    def __init__(self, states: StateStore, timeline: Timeline, clock: Callable[[], datetime], prices: str = "") -> None:
        """Nothing is looked up in Azure ML: what is shown is what the controller knows; `prices` of the settings."""
        self._states, self._timeline, self._clock, self._prices = states, timeline, clock, prices

    def loops(self) -> dict[str, Any]:
        """A line a loop, with where its documents are."""
        return {"loops": [self._summary(state) for state in self._all()]}

    def _all(self) -> Iterator[LoopState]:
        for name in self._states.loops():
            with suppress(NotFound):  # removed since it was listed
                yield self._states.read(name)

    def loop(self, name: str) -> dict[str, Any]:
        """Everything about a loop.

        Raises:
            BadRequest, NotFound: there is no such loop.
        """
        state = self._states.read(check_loop_name(name))
        shown = state.model_dump(mode="json", exclude={"outbox"})
        catalogue = shown["catalogue"]
        inbound = [problem for note in shown["inbound"] for problem in note["problems"]]
        problems = [*shown["config"]["problems"], *inbound, *catalogue["dataset_problems"], *catalogue["problems"]]
        events = [e.model_dump(mode="json") for e in self._timeline.read(name, NEWEST_EVENTS)]
        bill = serving(state, self._clock(), self._prices)
        more = {"problems": problems, "progress": progress(state), "serving": bill, "timeline": events}
        return {**self._summary(state), **shown, **more}

    def _summary(self, state: LoopState) -> dict[str, Any]:
        return {**_summary(state), "standing": standing(state, self._clock(), self._prices)}

    def explain(self, name: str, now: datetime) -> dict[str, Any]:
        """What would happen to a loop now, and what is missing for it.

        Raises:
            BadRequest, NotFound: there is no such loop.
        """
        from services.status.explained import explained

        return explained(self._states.read(check_loop_name(name)), now, self._prices)

    def timeline(self, name: str, query: dict[str, str]) -> dict[str, Any]:
        """A page of a loop's events, newest first; `next` is the `before` of the next page.

        Raises:
            BadRequest, NotFound: there is no such loop, or the query is wrong.
        """
        self._states.read(check_loop_name(name))
        limit, before = _limit(query.get("limit") or "100"), _before(name, query.get("before") or None)
        events = self._timeline.read(name, limit, before)
        following = events[-1].id if len(events) == limit else None
        return {"events": [e.model_dump(mode="json") for e in events], "next": following}


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_EVENTS):
        raise BadRequest(f"limit must be a number from 1 to {MOST_EVENTS}")
    return int(text)


def _before(loop: str, text: str | None) -> str | None:
    if text is not None and (len(text) > 60 or text != f"{loop}-{sequence_of(text)}"):
        raise BadRequest(f"before must be the id of an event of {loop}, such as the last answer's `next`")
    return text


def _summary(state: LoopState) -> dict[str, Any]:
    champion, active, dataset = state.champion, state.active_run, state.dataset
    return {
        "loop": state.loop,
        "task": state.catalogue.task or state.config.config.task,
        "doing": doing(state),
        "images": state.catalogue.images,
        "labelled": state.catalogue.labelled,
        "dataset_version": dataset.number if dataset else None,
        "active_run": active.number if active else None,
        "champion_model": f"{champion.model.name}:{champion.model.version}" if champion else None,
        "champion_score": champion.score if champion else None,
        "addresses": {name: f"/api/loops/{state.loop}/{name}" for name in ("status", "timeline", "explain", "predict")},
    }
