"""Where `state/<loop>.json` is kept, and how one process at a time changes it.

Two guards: the blob's lease keeps other wakes out, and If-Match refuses a write of a process whose lease ran out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from services.cloud.ports.storage import BlobStore, Lease
from services.errors import ChangedMeanwhile, NotFound
from services.names import state_blob, unknown_loop
from services.state import LoopState


class HeldState:
    """A loop's state while we hold its lease."""

    def __init__(self, system: BlobStore, loop: str, lease: Lease) -> None:
        """Read the state under an acquired lease."""
        self._system, self._name, self._lease = system, state_blob(loop), lease
        self._stored, self._etag = b"", ""
        self.state = self.reload()

    def reload(self) -> LoopState:
        """Forget what was not stored."""
        blob = self._system.read(self._name)
        self._stored, self._etag = blob.data, blob.etag
        self.state = LoopState.model_validate_json(blob.data)
        return self.state

    def save(self, state: LoopState) -> None:
        """Store the state if it differs from what is stored.

        Raises:
            ChangedMeanwhile: the lease was lost; nothing was written.
        """
        data = state.model_dump_json(indent=1).encode()
        if data != self._stored:
            self._etag = self._system.write(self._name, data, etag=self._etag, lease=self._lease.id)
            self._stored = data


class StateStore:
    """All loops' states."""

    def __init__(self, system: BlobStore, clock: Callable[[], datetime]) -> None:
        """`system` is the container that only we write."""
        self._system, self._clock = system, clock

    def read(self, loop: str) -> LoopState:
        """The state as it is stored.

        Raises:
            NotFound: there is no such loop.
        """
        try:
            return LoopState.model_validate_json(self._system.read(state_blob(loop)).data)
        except NotFound:
            raise NotFound(unknown_loop(loop)) from None

    def loops(self) -> list[str]:
        """Names of the loops that have a state."""
        return [b.name.removeprefix("state/").removesuffix(".json") for b in self._system.list("state/")]

    @contextmanager
    def held(self, loop: str) -> Iterator[HeldState]:
        """Hold a loop's lease, making its state if it has none.

        Raises:
            LoopBusy: another process holds it.
        """
        try:
            lease = self._system.lease(state_blob(loop))
        except NotFound:
            self._create(loop)
            lease = self._system.lease(state_blob(loop))
        try:
            yield HeldState(self._system, loop, lease)
        finally:
            lease.release()

    def _create(self, loop: str) -> None:
        state = LoopState(loop=loop, created=self._clock())
        try:
            self._system.write(state_blob(loop), state.model_dump_json(indent=1).encode(), create=True)
        except ChangedMeanwhile:
            return  # another wake was first, which is as good
