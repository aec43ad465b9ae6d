"""A loop's files in the data container, as listed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.catalogue.documents import listing_digest
from services.catalogue.paths import CODE, bucket_of, is_ignored
from services.cloud.ports.storage import BlobInfo


@dataclass(frozen=True, slots=True)
class Listing:
    """Files that matter, by their path below the loop's folder."""

    files: dict[str, BlobInfo]
    code: str = ""
    """Digest of the training script's files, as `code_digest` makes it; empty where there are none."""

    @classmethod
    def of(cls, loop: str, blobs: Iterable[BlobInfo]) -> Listing:
        """Take the listing of `<loop>/`."""
        start = len(loop) + 1
        listed = [(b.name[start:], b) for b in blobs]
        code = code_digest((path, b) for path, b in listed if path.startswith(CODE))
        return cls({path: b for path, b in listed if not is_ignored(path, b.size)}, code)

    def fingerprint(self, *extra: str) -> str:
        """Equal where nothing changed; `extra` is what else the catalogue depends on."""
        return listing_digest([*((path, blob.etag) for path, blob in self.files.items()), *((e, "") for e in extra)])

    def buckets(self, count: int) -> list[dict[str, BlobInfo]]:
        """The files of each of so many buckets."""
        found: list[dict[str, BlobInfo]] = [{} for _ in range(count)]
        for path, blob in self.files.items():
            found[bucket_of(path, count)][path] = blob
        return found


def code_digest(files: Iterable[tuple[str, BlobInfo]]) -> str:
    """What a script is: the paths below the loop's folder and the bytes of its files, or their ETags without an MD5."""
    return listing_digest(entries) if (entries := [(path, b.md5 or b.etag) for path, b in files]) else ""


def digest_of(files: dict[str, BlobInfo]) -> str:
    """The digest that a bucket has which holds exactly these files."""
    return listing_digest((path, blob.etag) for path, blob in files.items())
