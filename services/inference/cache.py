"""Answers of slots by what they were asked: off unless a size is set, as most callers never send an image twice.

The key holds slot and model version, so that a new model never answers with an old one's words. What a slot found is
kept, before threshold and top-k, so that these do not multiply it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from services.state import Champion
from services.threads import in_thread

Scored = list[dict[str, object]]
_MOST_AT_ONCE = 1 << 20
"""More bytes are hashed in a thread: they take longer than other requests should wait."""


class Cache:
    """The answers asked for last, in this process."""

    def __init__(self, size: int) -> None:
        """So many are kept; 0 keeps none, and hashes nothing."""
        self._size = size
        self._known: OrderedDict[str, Scored] = OrderedDict()

    async def get(self, model: Champion, images: Sequence[bytes], ask: Callable[[], Awaitable[Scored]]) -> Scored:
        """The answer that is known, or that `ask` gives; what it raises is not remembered."""
        if not self._size:
            return await ask()
        key = await _key(model, images)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        found = self._known[key] = await ask()
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return found


async def _key(model: Champion, images: Sequence[bytes]) -> str:
    work = partial(_hash, model, images)
    return await in_thread(work) if sum(map(len, images)) > _MOST_AT_ONCE else work()


def _hash(model: Champion, images: Sequence[bytes]) -> str:
    digest = hashlib.sha256(f"{model.scoring_uri} {model.slot} {model.model.name}:{model.model.version}".encode())
    for image in images:
        digest.update(hashlib.sha256(image).digest())
    return digest.hexdigest()
