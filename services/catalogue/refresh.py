"""Brings a loop's catalogue to a listing: reads what changed, looks at it, and gives new images their side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from services.catalogue.documents import Index, View
from services.catalogue.infer import Inference, infer
from services.catalogue.listing import Listing
from services.catalogue.paths import kind_of
from services.catalogue.reading import FileReader
from services.catalogue.resolve import add_sides, facts_of, resolve, summarise
from services.catalogue.sides import Sides
from services.catalogue.store import THREADS, CatalogueStore, Splits
from services.catalogue.twins import named
from services.catalogue.working import Changes, Working
from services.cloud.ports.storage import BlobInfo
from services.datasets.splits import NEGATIVE, assign
from services.labels.options import Options, options_of
from services.loop_config import LoopConfig

Seen = list[tuple[str, frozenset[str]]]
"""Content and classes of each member of a bucket."""
BATCH = 256
"""Files read between two looks at the time."""
BATCH_BYTES = 64 << 20
"""Bytes of files that are read as a whole, between two looks at the time; a larger file is read alone."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A catalogue that was written; the state is yet to refer to it."""

    blob: str
    index: Index
    inference: Inference
    changes: Changes
    unread: int
    """Files that time did not suffice for, or that changed while they were read: to be read at the next look."""
    out_of_time: bool


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One loop's catalogue; every dependency is replaceable."""

    store: CatalogueStore
    reader: FileReader
    more_time: Callable[[], bool]
    recover_splits: Callable[[], Splits]
    """The sides that dataset versions remember, asked for where the catalogue was lost or is of an older format."""

    def refresh(self, listing: Listing, blob: str, config: LoopConfig) -> Refreshed:
        """Read what changed since the index in `blob`, as long as there is time; nothing of `blob` is overwritten."""
        working = self._open(blob)
        working.grow(len(listing.files))
        changes = working.changes(listing, options := options_of(config))
        working.forget(changes)
        done, in_time = self._read(working, changes.fresh, options)
        working.settle()
        inference = look(working, config, finished=in_time)
        return Refreshed(working.commit(), working.index, inference, changes, len(changes.fresh) - done, not in_time)

    def _open(self, blob: str) -> Working:
        if index := self.store.index(blob):
            return Working(self.store, index, Sides(self.store, index))
        index = self.store.older(blob) or Index()
        working = Working(self.store, index, Sides(self.store, index, self.recover_splits()))
        working.renew()
        return working

    def _read(self, working: Working, fresh: Mapping[str, BlobInfo], options: Options) -> tuple[int, bool]:
        """How many files were read, and whether time sufficed for all."""
        done = seen = 0
        with ThreadPoolExecutor(THREADS) as pool:
            for batch in _batches(sorted(fresh.items())):
                read = [
                    r
                    for r in pool.map(lambda item: self.reader.read(item[0], item[1], options), batch)
                    if r is not None
                ]
                done += len(read)
                for each in read:
                    working.put(each)
                seen += len(batch)
                if not self.more_time():
                    break
        return done, seen == len(fresh)


def _batches(items: Iterable[tuple[str, BlobInfo]]) -> Iterator[list[tuple[str, BlobInfo]]]:
    batch: list[tuple[str, BlobInfo]] = []
    size = 0
    for path, blob in items:
        whole = 0 if kind_of(path, blob.size) == "image" else blob.size
        if batch and (len(batch) >= BATCH or size + whole > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((path, blob))
        size += whole
    if batch:
        yield batch


def look(working: Working, config: LoopConfig, *, finished: bool) -> Inference:
    """Summarise what changed, or everything where task or classes did; unfinished work is summarised later."""
    facts = {number: facts_of(bucket) for number, bucket in working.loaded.items()}
    summaries = [facts.get(number, ref.summary) for number, ref in enumerate(working.index.buckets)]
    inference = infer(config, summaries)
    if not finished:
        working.index.view = None
        return inference
    if working.index.view != inference.view:
        working.load(range(working.count))
        working.index.view = inference.view
    seen = {number: _resolve(working, number, inference.view) for number in working.loaded}
    _split(working, seen, config.validation_share)
    for number, members in seen.items():
        add_sides(working.index.buckets[number].summary, members, working.sides)
        working.note_sides(number, {content for content, _ in members})
    working.index.twins = named(working)
    return inference


def _resolve(working: Working, number: int, view: View) -> Seen:
    """Summarise a bucket but for its sides; of its members only what these need is kept."""
    bucket = working.bucket(number)
    for image in bucket.images.values():
        if image.side:
            working.sides.learn(image.content, image.side)
    found = resolve(bucket, view)
    working.index.buckets[number].summary = summarise(bucket, found)
    kinds: dict[frozenset[str], frozenset[str]] = {}
    return [(m.content, kinds.setdefault(m.classes, m.classes)) for m in found.members]


def _split(working: Working, seen: Mapping[int, Seen], share: float) -> None:
    """Give a side to every content that has none."""
    new: dict[str, frozenset[str]] = {}
    known: dict[str, Counter[str]] = {}
    for number, ref in enumerate(working.index.buckets):
        for name, sides in ref.summary.sides.items() if number not in seen else ():
            known.setdefault(name, Counter()).update(sides)
    working.sides.load(content for members in seen.values() for content, _ in members)
    for content, classes in (member for members in seen.values() for member in members):
        side = working.sides.get(content)
        if side is None:
            new[content] = new.get(content, frozenset()) | classes
            continue
        for name in classes or {NEGATIVE}:
            known.setdefault(name, Counter())[side] += 1
    for content, side in assign(new, known, share).items():
        working.sides.assign(content, side)
