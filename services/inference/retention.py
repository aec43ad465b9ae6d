"""Deletes captured images that nobody has labelled within the loop's retention, with their suggestions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from services.catalogue.paths import bucket_of, stem
from services.catalogue.store import CatalogueStore
from services.cloud.ports.storage import BlobStore
from services.names import CAPTURED
from services.state import LoopState
from services.state_store import StateStore


class Retention:
    """Looks at every loop that captures, or did."""

    def __init__(self, data: BlobStore, system: BlobStore, states: StateStore, clock: Callable[[], datetime]) -> None:
        """`clock` in UTC."""
        self._data, self._system, self._states, self._clock = data, system, states, clock

    def forget(self) -> int:
        """Delete what is too old; returns how many images. What the catalogue does not tell of is kept."""
        return sum(self._forget(self._states.read(loop)) for loop in self._states.loops())

    def _forget(self, state: LoopState) -> int:
        oldest = self._clock() - timedelta(days=state.config.config.capture.retention_days)
        prefix = f"{state.loop}/"
        old = [b.name for b in self._data.list(prefix + CAPTURED) if b.modified < oldest]
        gone = [name for name in old if not self._may_be_labelled(state, name.removeprefix(prefix))] if old else []
        for name in gone:
            self._data.delete(name)
        for blob in self._system.list(f"suggestions/{state.loop}/captured/"):
            if blob.modified < oldest:
                self._system.delete(blob.name)
        return len(gone)

    def _may_be_labelled(self, state: LoopState, path: str) -> bool:
        store = CatalogueStore(self._system, state.loop)
        index = store.index(state.catalogue.blob)
        if index is None or not index.buckets:
            return True
        bucket = store.bucket(index.buckets[bucket_of(path, len(index.buckets))].blob)
        wanted: Iterator[str] = (stem(record.reference) for record in bucket.records)
        return path not in bucket.images or stem(path) in wanted
