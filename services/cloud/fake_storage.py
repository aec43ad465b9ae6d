"""Containers and queues in memory: conditional writes and leases are honoured.

A listing is of one moment, and each call is whole, as other threads may write meanwhile.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.cloud.fake_calls import FakeClock, Hook, Hooked, no_hook
from services.cloud.ports.storage import MOST_QUEUE_BYTES, Blob, BlobInfo
from services.errors import ChangedMeanwhile, LoopBusy, NotFound, Upstream


@dataclass(slots=True)
class _Stored:
    data: bytes
    etag: str
    modified: datetime
    lease: str | None = None
    claim: str = ""


class _FakeLease:
    def __init__(self, stored: _Stored, lease_id: str) -> None:
        self._stored, self._id = stored, lease_id

    @property
    def id(self) -> str:
        return self._id

    def release(self) -> None:
        if self._stored.lease == self._id:
            self._stored.lease = None


class FakeBlobStore(Hooked):
    """A container in memory."""

    port = "blob"

    def __init__(self, on_call: Hook = no_hook, clock: Callable[[], datetime] | None = None) -> None:
        """`clock` stamps the blobs."""
        super().__init__(on_call)
        self.clock = clock or FakeClock()
        self.blobs: dict[str, _Stored] = {}
        self._numbers = itertools.count(1)

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        with self._outside("list"):
            found = sorted((name, replace(blob)) for name, blob in self.blobs.copy().items() if name.startswith(prefix))
        for name, blob in found:
            md5 = hashlib.md5(blob.data, usedforsecurity=False).hexdigest()
            plain = blob.etag.strip('"')  # as in Azure, whose listings are the only answers without quotes
            yield BlobInfo(name, plain, len(blob.data), blob.modified, md5, blob.claim)

    def folders(self, prefix: str = "") -> Sequence[str]:
        with self._outside("folders"):
            below = (n[len(prefix) :] for n in [*self.blobs] if n.startswith(prefix))
            return sorted({rest.split("/")[0] for rest in below if "/" in rest})

    def _get(self, name: str) -> _Stored:
        if not name:  # as Azure's SDK: no answer of a service, but a mistake of ours
            raise ValueError("Please specify a blob name.")
        if name not in self.blobs:
            raise NotFound(f"There is no blob {name}")
        return self.blobs[name]

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> Blob:
        with self._outside("read"):
            blob = self._get(name)
            end = None if length is None else offset + length
            return Blob(blob.data[offset:end], blob.etag)

    def stream(self, name: str, *, etag: str | None = None) -> Iterator[bytes]:
        with self._outside("stream"):
            blob = self._get(name)
            if etag is not None and blob.etag.strip('"') != etag.strip('"'):
                raise ChangedMeanwhile(f"{name} has changed")
            data = blob.data
        for start in range(0, len(data), 65536):
            yield data[start : start + 65536]

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
        with self._outside("write"):
            old = self.blobs.get(name)
            if (create and old) or (etag is not None and (old is None or old.etag != etag)):
                raise ChangedMeanwhile(f"{name} has changed")
            if old is not None and old.lease != lease and (old.lease or lease):
                raise ChangedMeanwhile(f"The lease of {name} is not ours")
            kept = old.lease if old else None
            stored = _Stored(bytes(data), f'"{next(self._numbers)}"', self.clock(), kept, claim)
            if old is not None:
                old.data, old.etag, old.modified, old.claim = stored.data, stored.etag, stored.modified, claim
            else:
                self.blobs[name] = stored
            return stored.etag

    def append(self, name: str, data: bytes) -> None:
        with self._outside("append"):
            old = self.blobs.get(name)
            self.blobs[name] = _Stored((old.data if old else b"") + data, f'"{next(self._numbers)}"', self.clock())

    def delete(self, name: str) -> None:
        with self._outside("delete"):
            self.blobs.pop(name, None)

    def lease(self, name: str) -> _FakeLease:
        with self._outside("lease"):
            stored = self._get(name)
            if stored.lease:
                raise LoopBusy(f"Somebody else holds the lease of {name}")
            stored.lease = f"lease-{next(self._numbers)}"
            return _FakeLease(stored, stored.lease)

    def break_leases(self) -> None:
        """What time does to the leases of a process that died."""
        for stored in self.blobs.values():
            stored.lease = None


class FakeQueue(Hooked):
    """A queue that remembers what was sent, as (body, delay in seconds)."""

    port = "queue"

    def __init__(self, on_call: Hook = no_hook) -> None:
        """An empty queue."""
        super().__init__(on_call)
        self.sent: list[tuple[str, float]] = []

    def send(self, body: str, *, delay: float = 0) -> None:
        with self._outside("send"):
            if len(body.encode()) > MOST_QUEUE_BYTES:
                raise Upstream("Storage answered 413 RequestBodyTooLarge for queue")
            self.sent.append((body, delay))
