"""What people ask of a rollout over HTTP: a word is answered by what it comes to now, kept, and the loop woken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from services.commands import Action, Commands, command, read_asked
from services.decisions.orders import Word, answer
from services.errors import Conflict, NotFound
from services.names import check_loop_name
from services.state_store import StateStore
from services.wake import Waker

_ACTIONS: Mapping[str, tuple[Word, Action]] = {
    "promote": ("promote", "promote"),
    "rollback": ("rollback", "rollback"),
    "hold": ("hold", "hold"),
    "resume": ("resume", "release"),
}


class RolloutControls:
    """Promote, roll back, hold and resume."""

    def __init__(self, states: StateStore, commands: Commands, waker: Waker, clock: Callable[[], datetime]) -> None:
        """All can be replaced."""
        self._states, self._commands, self._waker, self._clock = states, commands, waker, clock

    def order(self, loop: str, word: str, body: bytes) -> dict[str, Any]:
        """Keep a word; one that is so already is answered and not kept.

        Raises:
            BadRequest, NotFound: there is no such loop or word, or the body is wrong.
            Conflict: it cannot be as things stand; the detail says why.
        """
        if word not in _ACTIONS:
            raise NotFound(f"{word[:40]!r} is no word on a rollout: {', '.join(_ACTIONS)}")
        state, asked = self._states.read(check_loop_name(loop)), read_asked(body)
        said, action = _ACTIONS[word]
        found = answer(said, state, asked.run)
        if found.effect == "refused":
            raise Conflict(found.says)
        if found.effect != "nothing":
            meant = state.champion.run if found.effect == "restore" and state.champion else found.run
            self._commands.put(loop, command(action, asked, self._clock(), meant))
            self._waker.wake(loop, f"{word} was asked for")
        return {"loop": loop, "command": word, "effect": found.effect, "run": found.run, "says": found.says}
