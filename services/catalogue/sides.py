"""Who is on which side, by content, for as long as the loop lives: in shards, so that one image more rewrites one.

A shard is loaded when a content in it is asked for, and written when it got one. What it says of a content never
changes, whatever is told of it later.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from services.catalogue.documents import Index
from services.catalogue.store import THREADS, CatalogueStore, Splits, shards_of
from services.datasets.splits import Side


class Sides:
    """The sides of a catalogue. Nothing is durable before `commit`."""

    def __init__(self, store: CatalogueStore, index: Index, known: Mapping[str, Side] | None = None) -> None:
        """The sides that an index refers to, and those `known` from elsewhere of contents that it has none of."""
        self._store = store
        self._blobs = [*shards_of(index)]
        self._shards: dict[int, Splits] = {}
        self._changed: set[int] = set()
        self._learnt: Splits = {}
        for content, side in (known or {}).items():
            self.assign(content, side)

    def _number(self, content: str) -> int:
        return zlib.crc32(content.encode()) % len(self._blobs)

    def _shard(self, number: int) -> Splits:
        if number not in self._shards:
            self._shards[number] = self._store.splits(self._blobs[number])
        return self._shards[number]

    def load(self, contents: Iterable[str]) -> None:
        """Load what these need, several shards at once."""
        numbers = {self._number(content) for content in contents if content not in self._learnt}
        missing = sorted(numbers - self._shards.keys())
        with ThreadPoolExecutor(THREADS) as pool:
            found = pool.map(self._store.splits, [self._blobs[n] for n in missing])
            self._shards.update(zip(missing, found, strict=True))

    def learn(self, content: str, side: Side) -> None:
        """What a bucket of this catalogue remembers of an image: its shard need not be asked."""
        self._learnt[content] = side

    def get(self, content: str) -> Side | None:
        return self._learnt.get(content) or self._shard(self._number(content)).get(content)

    def __getitem__(self, content: str) -> Side:
        if side := self.get(content):
            return side
        raise KeyError(content)

    def assign(self, content: str, side: Side) -> None:
        """Give a side to a content that has none."""
        if self.get(content) is None:
            number = self._number(content)
            self._shard(number)[content] = side
            self._changed.add(number)

    def spread(self, count: int) -> None:
        """Have so many shards."""
        if count == len(self._blobs):
            return
        every = [self._shard(number) for number in range(len(self._blobs))]
        self._blobs, self._shards = [""] * count, {number: {} for number in range(count)}
        for content, side in (item for shard in every for item in shard.items()):
            self._shards[self._number(content)][content] = side
        self._changed = set(range(count))

    def commit(self) -> list[str]:
        """Write what changed; returns all shards' blobs."""
        numbers = sorted(self._changed)
        written = self._store.write_splits([self._shards[n] for n in numbers], [self._blobs[n] for n in numbers])
        for number, blob in zip(numbers, written, strict=True):
            self._blobs[number] = blob
        self._changed.clear()
        return [*self._blobs]
