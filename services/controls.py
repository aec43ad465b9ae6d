"""What people ask of a loop over HTTP. Nothing is done here: a command is kept, and the loop woken to carry it out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.commands import Action, Command, Commands, command, read_asked
from services.control_stage import want_training
from services.decisions import train
from services.errors import Conflict, NotFound
from services.names import check_loop_name
from services.state import LoopState
from services.state_store import StateStore
from services.training.facts import facts_of
from services.wake import Waker


class Controls:
    """Train now, pause, resume, and cancel a training run."""

    def __init__(
        self, states: StateStore, commands: Commands, waker: Waker, clock: Callable[[], datetime], prices: str = ""
    ) -> None:
        """All can be replaced; `prices` of the settings."""
        self._states, self._commands, self._waker, self._clock = states, commands, waker, clock
        self._prices = prices

    def train(self, loop: str, body: bytes) -> dict[str, Any]:
        """Ask for a training run whatever the thresholds; the answer says what comes of it as things stand.

        Raises:
            BadRequest, NotFound: there is no such loop, or the body is wrong.
        """
        state = self._state(loop)
        asked = self._read("train", body)
        said = want_training(state, asked.order, self._clock())
        decision = train.decide(facts_of(state, self._clock(), self._prices))
        reason = decision.reason if decision.act else f"{said}. {decision.reason}"  # which says so itself where it acts
        return self._keep(loop, asked, reason, would_start=decision.act)

    def pause(self, loop: str, body: bytes) -> dict[str, Any]:
        """Start nothing new; what runs is followed to its end.

        Raises:
            BadRequest, NotFound: there is no such loop, or the body is wrong.
        """
        self._state(loop)
        return self._keep(loop, self._read("pause", body), "Nothing new is started; what runs is followed to its end")

    def resume(self, loop: str, body: bytes) -> dict[str, Any]:
        """Take a pause back; a pause in loop.yaml remains.

        Raises:
            BadRequest, NotFound: there is no such loop, or the body is wrong.
        """
        in_file = self._state(loop).config.config.paused
        said = "loop.yaml still says paused: true" if in_file else "The loop goes on"
        return self._keep(loop, self._read("resume", body), said)

    def cancel(self, loop: str, number: str, body: bytes) -> dict[str, Any]:
        """Cancel a training run that is under way.

        Raises:
            BadRequest, NotFound: there is no such loop or run, or the body is wrong.
            Conflict: the run has ended.
        """
        run = next((r for r in self._state(loop).runs if str(r.number) == number), None)
        if run is None:
            raise NotFound(f"{loop} has no training run {number[:20]}")
        if not run.active:
            raise Conflict(f"Training run {number} has ended already: {run.status}")
        asked = self._read("cancel", body, run.number)
        return self._keep(loop, asked, f"Training run {number} is to be cancelled")

    def _state(self, loop: str) -> LoopState:
        return self._states.read(check_loop_name(loop))

    def _read(self, action: Action, body: bytes, run: int | None = None) -> Command:
        return command(action, read_asked(body), self._clock(), run)

    def _keep(self, loop: str, asked: Command, said: str, **more: object) -> dict[str, Any]:
        self._commands.put(loop, asked)
        self._waker.wake(loop, f"{asked.action} was asked for")
        return {"loop": loop, "command": asked.action, "says": said, **more, "status": f"/api/loops/{loop}/status"}
