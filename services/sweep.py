"""The timer's part: whatever event was lost, every loop is looked at all the same."""

from __future__ import annotations

from services.cloud.ports.storage import BlobStore
from services.names import is_loop_name
from services.state_store import StateStore
from services.wake import Waker


class Sweeper:
    """Wakes every loop."""

    def __init__(self, data: BlobStore, states: StateStore, waker: Waker) -> None:
        """Loops are the folders users made, and those that have a state."""
        self._data, self._states, self._waker = data, states, waker

    def sweep(self) -> int:
        """Wake every loop; returns how many there are."""
        loops = {name for name in self._data.folders() if is_loop_name(name)} | set(self._states.loops())
        for loop in sorted(loops):
            self._waker.wake(loop, "sweep")
        return len(loops)
