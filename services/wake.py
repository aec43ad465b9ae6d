"""Wakes: the only thing an event does is to have the controller look at one loop."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.cloud.ports.storage import Queue
from services.errors import BadRequest
from services.names import is_loop_name


@dataclass(frozen=True, slots=True)
class Wake:
    """A message of the wake queue."""

    loop: str
    reason: str


def read_wake(body: str) -> Wake:
    """Read a message of the wake queue.

    Raises:
        BadRequest: it is not one of ours.
    """
    try:
        found = json.loads(body)
        wake = Wake(loop=found["loop"], reason=str(found.get("reason", "")))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadRequest('A wake is {"loop": name, "reason": text}') from None
    if not isinstance(wake.loop, str) or not is_loop_name(wake.loop):
        raise BadRequest("A wake names a loop")
    return wake


class Waker:
    """Puts wakes on the queue; a wake that is not yet due serves every event that came before it."""

    def __init__(self, queue: Queue, clock: Callable[[], datetime], delay: float) -> None:
        """`delay` in seconds is how long a burst is gathered."""
        self._queue, self._clock, self._delay = queue, clock, delay
        self._due: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def wake(self, loop: str, reason: str, delay: float | None = None) -> bool:
        """Have a loop looked at soon; returns whether a message was needed.

        The lock is held while sending, so that no event relies on a message that was never accepted.
        """
        wait = self._delay if delay is None else delay
        with self._lock:
            now = self._clock()
            if now < self._due.get(loop, now) <= now + timedelta(seconds=wait):
                return False
            self.schedule(loop, reason, wait)
            self._due[loop] = now + timedelta(seconds=wait)
            return True

    def schedule(self, loop: str, reason: str, delay: float) -> None:
        """Put a wake on the queue whatever else is on it; for the controller, which keeps its own account."""
        self._queue.send(json.dumps({"loop": loop, "reason": reason}), delay=delay)
