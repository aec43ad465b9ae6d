"""What somebody sent and is worked on later: its body is kept, and a message of the queue names it."""

from __future__ import annotations

from services.cloud.ports.storage import BlobStore, Queue
from services.inbound.kept import Kept


class Later:
    """Keeps a body and queues the work on it."""

    def __init__(self, system: BlobStore, queue: Queue) -> None:
        """`queue` is what the function `inbound_later` reads."""
        self._kept, self._queue = Kept(system), queue

    def keep(self, source: str, body: bytes) -> None:
        """Keep a body before its message: what is queued is there, and what is not queued is found by the timer."""
        self._queue.send(self._kept.keep(source, body).model_dump_json())
