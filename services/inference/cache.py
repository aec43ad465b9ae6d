"""Answers of slots by what they were asked: off unless a size is set, as most callers never send an image twice.

The key holds slot and model version, so that a new model never answers with an old one's words. What a slot found is
kept, before threshold and top-k, so that these do not multiply it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from services.state import Champion

Scored = list[dict[str, object]]


class Cache:
    """The answers asked for last, in this process; safe to share between threads."""

    def __init__(self, size: int) -> None:
        """So many are kept; 0 keeps none, and hashes nothing."""
        self._size, self._lock = size, threading.Lock()
        self._known: OrderedDict[str, Scored] = OrderedDict()

    def get(self, model: Champion, images: Sequence[bytes], ask: Callable[[], Scored]) -> Scored:
        """The answer that is known, or that `ask` gives; what it raises is not remembered."""
        if not self._size:
            return ask()
        key = _key(model, images)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = ask()
        with self._lock:
            self._known[key] = found
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return found


def _key(model: Champion, images: Sequence[bytes]) -> str:
    digest = hashlib.sha256(f"{model.scoring_uri} {model.slot} {model.model.name}:{model.model.version}".encode())
    for image in images:
        digest.update(hashlib.sha256(image).digest())
    return digest.hexdigest()
