"""Keeps the catalogue's documents in the system container, below `catalogue/<loop>/`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from services.catalogue.documents import FORMAT, Bucket, BucketRef, Index
from services.cloud.ports.storage import BlobStore
from services.datasets.splits import Side
from services.errors import NotFound

Splits = dict[str, Side]
THREADS = 10
"""As many as the SDK keeps connections to one account."""
T = TypeVar("T")
_INDEX, _BUCKET, _SPLITS = TypeAdapter(Index), TypeAdapter(Bucket), TypeAdapter(Splits)


def shards_of(index: Index) -> list[str]:
    """The blobs of the sides by content."""
    return [index.splits] if isinstance(index.splits, str) else index.splits


class CatalogueStore:
    """One loop's documents: written before the state refers to them, deleted after it no longer does."""

    def __init__(self, system: BlobStore, loop: str) -> None:
        """`system` is the container that only we write."""
        self._system = system
        self._folder = f"catalogue/{loop}/"

    def index(self, blob: str) -> Index | None:
        """The index, or None where there is none of today's format."""
        found = self._any_index(blob)
        return found if found and found.format == FORMAT else None

    def older(self, blob: str) -> Index | None:
        """An index of another format, without the documents that cannot be loaded today."""
        found = self._any_index(blob)
        if found is None:
            return None
        for ref in found.buckets:
            ref.blob = self._loadable(_BUCKET, ref.blob)
        found.splits = [self._loadable(_SPLITS, shard) for shard in shards_of(found)]
        return found

    def _loadable(self, kind: TypeAdapter[T], blob: str) -> str:
        if not blob:  # an empty one, which has no name: Azure's SDK asks for one
            return ""
        try:
            self._read(kind, blob)
        except (NotFound, ValidationError):
            return ""
        return blob

    def _any_index(self, blob: str) -> Index | None:
        try:
            return self._read(_INDEX, blob) if blob else None
        except (NotFound, ValidationError):
            return None

    def bucket(self, blob: str) -> Bucket:
        """A bucket; the name of an empty one is empty."""
        return self._read(_BUCKET, blob) if blob else Bucket()

    def splits(self, blob: str) -> Splits:
        """A shard of the sides by content; the name of an empty one is empty."""
        return self._read(_SPLITS, blob) if blob else {}

    def _read(self, kind: TypeAdapter[T], blob: str) -> T:
        return kind.validate_json(self._system.read(blob).data)

    def write_index(self, index: Index) -> str:
        return self._write("index", _INDEX, index)

    def write_buckets(self, buckets: Iterable[Bucket], old: Iterable[BucketRef]) -> list[str]:
        """Write buckets unless they are what `old` holds, several at once; returns their blobs."""

        def write(bucket: Bucket, ref: BucketRef) -> str:
            return self._write("bucket", _BUCKET, bucket, ref.blob) if bucket != Bucket() else ""

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(write, buckets, old))

    def write_splits(self, shards: Iterable[Splits], old: Iterable[str]) -> list[str]:
        """Write shards unless they are what `old` holds, several at once; returns their blobs."""

        def write(shard: Splits, blob: str) -> str:
            return self._write("splits", _SPLITS, shard, blob) if shard else ""

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(write, shards, old))

    def _write(self, name: str, kind: TypeAdapter[T], document: T, old: str = "") -> str:
        data = kind.dump_json(document)
        blob = f"{self._folder}{name}-{hashlib.sha256(data).hexdigest()[:32]}.json"
        if blob != old:
            self._system.write(blob, data)
        return blob

    def written(self, blob: str) -> float | None:
        """When the storage's own clock says that a document was written, in seconds since 1970."""
        found = next((b for b in self._system.list(blob) if b.name == blob), None)
        return found.modified.timestamp() if found else None

    def clean(self, blob: str, index: Index) -> None:
        """Delete every document that this index does not refer to."""
        kept = {blob, *shards_of(index), *(ref.blob for ref in index.buckets)}
        for found in list(self._system.list(self._folder)):
            if found.name not in kept:
                self._system.delete(found.name)
