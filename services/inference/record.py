"""Counts what slots do with users' requests while a rollout is watched; services/rollout/watch.py reads the sums."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

from services.errors import VisionloopError
from services.rollout.watch import CLASSES, bounds_ms

EVERY_SECONDS = 5.0
MOST_FOLDERS = 32
log = logging.getLogger(__name__)

Write = Callable[[str, bytes], object]


@dataclass(slots=True)
class _Counts:
    requests: int = 0
    errors: int = 0
    ms: list[int] = field(default_factory=lambda: [0] * CLASSES)

    def plain(self) -> dict[str, object]:
        return {"requests": self.requests, "errors": self.errors, "ms": list(self.ms)}


class Recorder:
    """Keeps counts in memory and writes them from a thread of its own: no request waits for it, nor fails by it."""

    def __init__(self, write: Write, every: float = EVERY_SECONDS) -> None:
        """`write` takes a blob's name and bytes; at most one blob is written in `every` seconds for a loop."""
        self._write, self._every = write, every
        self._process = uuid.uuid4().hex[:12]
        self._bounds = bounds_ms()
        self._lock = threading.Lock()
        self._folders: dict[str, dict[str, _Counts]] = {}
        self._changed: set[str] = set()
        self._timer: threading.Timer | None = None

    def note(self, folder: str, slot: str, ms: float, *, failed: bool) -> None:
        """Count one request; an empty folder means that nobody watches."""
        if not folder:
            return
        with self._lock:
            counts = self._of(folder).setdefault(slot, _Counts())
            counts.requests += 1
            counts.errors += failed
            counts.ms[min(bisect_left(self._bounds, ms), CLASSES - 1)] += 1
            self._changed.add(folder)
            if self._timer is None:
                self._timer = threading.Timer(self._every, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def _of(self, folder: str) -> dict[str, _Counts]:
        """What lies in a folder is all that was counted for it; the oldest of many are over."""
        if folder not in self._folders and len(self._folders) >= MOST_FOLDERS:
            self._folders.pop(next(iter(self._folders)))
        return self._folders.setdefault(folder, {})

    def flush(self) -> None:
        """Write what has changed; what could not be written goes with the next."""
        with self._lock:
            self._timer = None
            changed, self._changed = self._changed & self._folders.keys(), set()
            documents = {f: {slot: c.plain() for slot, c in self._folders[f].items()} for f in changed}
        for folder, slots in documents.items():
            try:
                self._write(f"{folder}{self._process}.json", json.dumps({"slots": slots}).encode())
            except VisionloopError as error:
                log.warning("Counts of %s could not be written: %s", folder, error.detail)
                with self._lock:
                    self._changed.add(folder)
