"""What the product needs of storage: blobs and queues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

CLAIM = "visionloop_image"
"""Name of a blob's metadata."""


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A listed blob. `md5` is hexadecimal, empty where the service has none."""

    name: str
    etag: str
    size: int
    modified: datetime
    md5: str = ""
    claim: str = ""
    """What whoever wrote it says of it, in the blob's metadata under CLAIM: see `services.catalogue.claims`."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob's bytes and the ETag that they had."""

    data: bytes
    etag: str


class Lease(Protocol):
    """A held lease; renewed in the background until released."""

    @property
    def id(self) -> str: ...
    def release(self) -> None: ...


class BlobReader(Protocol):
    """Files that are only read. Names have no leading slash."""

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        """Every blob below `prefix`, in order of name."""
        ...

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> Blob:
        """Read a blob or a range of it.

        Raises:
            NotFound: there is no such blob.
        """
        ...

    def stream(self, name: str, *, etag: str | None = None) -> Iterator[bytes]:
        """Yield a blob in chunks, all of one ETag.

        Raises:
            NotFound: there is no such blob.
            ChangedMeanwhile: the blob no longer has `etag`.
        """
        ...


class BlobStore(BlobReader, Protocol):
    """One container. Names have no leading slash."""

    def folders(self, prefix: str = "") -> Sequence[str]:
        """Names of the folders directly below `prefix`, without it and without a slash."""
        ...

    def write(
        self,
        name: str,
        data: bytes,
        *,
        etag: str | None = None,
        create: bool = False,
        lease: str | None = None,
        claim: str = "",
    ) -> str:
        """Write a blob and return its ETag; with `etag` only over that one, with `create` only where none is.

        Raises:
            ChangedMeanwhile: the condition or the lease did not hold.
        """
        ...

    def append(self, name: str, data: bytes) -> None:
        """Append to an append blob, made if absent; never interleaves within `data` (at most 4 MiB)."""
        ...

    def delete(self, name: str) -> None:
        """Delete a blob; one that is not there is fine."""
        ...

    def lease(self, name: str) -> Lease:
        """Take the lease of an existing blob.

        Raises:
            LoopBusy: somebody else holds it.
            NotFound: there is no such blob.
        """
        ...


MOST_QUEUE_BYTES = 48 * 1024
"""Of a message, which base64 makes the 64 KiB that Azure takes:
https://learn.microsoft.com/azure/storage/queues/scalability-targets."""


class Queue(Protocol):
    """One queue of text messages, each of at most MOST_QUEUE_BYTES in UTF-8."""

    def send(self, body: str, *, delay: float = 0) -> None:
        """Put a message on the queue, visible after `delay` seconds (at most 7 days).

        Raises:
            Upstream: it is too long, or the queue does not answer.
        """
        ...
