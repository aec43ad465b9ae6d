"""The keys of loops as a process remembers them: the hot path asks storage once in some seconds, by plain HTTP."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.access.keys import Key, KeyDocument, keys_blob
from services.errors import Upstream
from services.inference.champion import Read

FRESH_SECONDS = 15.0
"""So long a removed key may still be taken."""
UNKNOWN_SECONDS = 1.0
"""What is not known is looked for anew, this often for a loop: the key may have just been made, or rotated."""
STALE_SECONDS = 300.0
MOST_LOOPS = 1000
NEVER = float("-inf")
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    lock: threading.Lock = field(default_factory=threading.Lock)
    etag: str = ""
    keys: Mapping[str, Key] = field(default_factory=dict)
    tried: float = NEVER
    """When storage was asked last."""
    read: float = NEVER
    """When it answered last."""


class Ring:
    """Finds keys. While one request asks for news, the others take what is known."""

    def __init__(self, read: Read, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` in seconds, never backwards."""
        self._read, self._clock = read, clock
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def young(self, loop: str, key_id: str) -> Key | None:
        """A key that is known and was looked at lately; storage is not asked."""
        known = self._known.get(loop)
        if known is None or self._clock() - known.tried >= FRESH_SECONDS:
            return None
        return known.keys.get(key_id)

    def find(self, loop: str, key_id: str, *, anew: bool = False) -> Key | None:
        """A key of a loop; None where there is none. With `anew` what is known is not enough.

        Raises:
            Upstream: storage does not answer, and what is known is too old.
        """
        known = self._of(loop)
        self._renew(loop, known, FRESH_SECONDS)
        if anew or key_id not in known.keys:
            self._renew(loop, known, UNKNOWN_SECONDS)
        return known.keys.get(key_id)

    def _of(self, loop: str) -> _Known:
        """Names that are no loops are remembered too, so that they cost no more than others; not without end."""
        known = self._known.get(loop)
        if known is not None:
            return known
        with self._lock:
            if len(self._known) >= MOST_LOOPS:
                self._known.pop(next(iter(self._known)))
            return self._known.setdefault(loop, _Known())

    def _renew(self, loop: str, known: _Known, seconds: float) -> None:
        if self._clock() - known.tried >= seconds and known.lock.acquire(blocking=known.read == NEVER):
            try:
                if self._clock() - known.tried >= seconds:  # else another request has just done it
                    self._ask(loop, known)
            finally:
                known.lock.release()

    def _ask(self, loop: str, known: _Known) -> None:
        now = self._clock()
        try:
            status, etag, body = self._read(keys_blob(loop), known.etag)
        except Upstream as error:
            if now - known.read > STALE_SECONDS:
                raise
            log.warning("The keys of %s are %.0f s old: %s", loop, now - known.read, error.detail)
        else:
            if status == 200:
                known.keys = {key.id: key for key in KeyDocument.model_validate_json(body).keys}
                known.etag = etag
            elif status == 404:
                known.keys, known.etag = {}, ""
            known.read = now
        known.tried = now
