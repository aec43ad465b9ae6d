"""A loop's files in the data container, as listed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.catalogue.documents import listing_digest
from services.catalogue.paths import bucket_of, is_ignored
from services.cloud.ports import BlobInfo


@dataclass(frozen=True, slots=True)
class Listing:
    """Files that matter, by their path below the loop's folder."""

    files: dict[str, BlobInfo]

    @classmethod
    def of(cls, loop: str, blobs: Iterable[BlobInfo]) -> Listing:
        """Take the listing of `<loop>/`."""
        start = len(loop) + 1
        return cls({path: b for b in blobs if not is_ignored(path := b.name[start:], b.size)})

    def fingerprint(self, *extra: str) -> str:
        """Equal where nothing changed; `extra` is what else the catalogue depends on."""
        return listing_digest([*((path, blob.etag) for path, blob in self.files.items()), *((e, "") for e in extra)])

    def buckets(self, count: int) -> list[dict[str, BlobInfo]]:
        """The files of each of so many buckets."""
        found: list[dict[str, BlobInfo]] = [{} for _ in range(count)]
        for path, blob in self.files.items():
            found[bucket_of(path, count)][path] = blob
        return found


def digest_of(files: dict[str, BlobInfo]) -> str:
    """The digest that a bucket has which holds exactly these files."""
    return listing_digest((path, blob.etag) for path, blob in files.items())
