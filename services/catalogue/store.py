"""Keeps the catalogue's documents in the system container, below `catalogue/<loop>/`."""

from __future__ import annotations

import hashlib
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from services.catalogue.documents import FORMAT, Bucket, Index
from services.cloud.ports import BlobStore
from services.datasets.splits import Side
from services.errors import NotFound

Splits = dict[str, Side]
T = TypeVar("T")
_INDEX, _BUCKET, _SPLITS = TypeAdapter(Index), TypeAdapter(Bucket), TypeAdapter(Splits)


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
        """An index of another format, without the buckets that cannot be loaded today."""
        found = self._any_index(blob)
        for ref in found.buckets if found else ():
            try:
                self.bucket(ref.blob)
            except (NotFound, ValidationError):
                ref.blob = ""
        return found

    def _any_index(self, blob: str) -> Index | None:
        try:
            return self._read(_INDEX, blob) if blob else None
        except (NotFound, ValidationError):
            return None

    def bucket(self, blob: str) -> Bucket:
        """A bucket; the name of an empty one is empty."""
        return self._read(_BUCKET, blob) if blob else Bucket()

    def splits(self, blob: str) -> Splits:
        """The sides by content."""
        return self._read(_SPLITS, blob) if blob else {}

    def _read(self, kind: TypeAdapter[T], blob: str) -> T:
        return kind.validate_json(self._system.read(blob).data)

    def write_index(self, index: Index) -> str:
        return self._write("index", _INDEX, index)

    def write_bucket(self, bucket: Bucket, old: str) -> str:
        """Write a bucket unless it is what `old` holds; returns its blob."""
        return self._write("bucket", _BUCKET, bucket, old) if bucket != Bucket() else ""

    def write_splits(self, splits: Splits, old: str) -> str:
        return self._write("splits", _SPLITS, splits, old)

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
        kept = {blob, index.splits, *(ref.blob for ref in index.buckets)}
        for found in list(self._system.list(self._folder)):
            if found.name not in kept:
                self._system.delete(found.name)
