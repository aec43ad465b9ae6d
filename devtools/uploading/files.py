"""A folder's files as blobs of a loop: what must be uploaded, by size and MD5, and how far it is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.catalogue.claims import claim_of
from services.catalogue.paths import kind_of
from services.cloud.ports.storage import CLAIM

WIDTH = 24
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class Local:
    """One file; `blob` is its name in the container."""

    blob: str
    file: Path
    size: int


@dataclass(frozen=True, slots=True)
class Remote:
    """What the container has under a name; `md5` in hexadecimal, empty where the service knows none."""

    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Done:
    """One file that the container has now; `sent` where it had not before."""

    md5: str
    sent: bool


def md5_of(file: Path) -> str:
    """The MD5 of a file's bytes, in hexadecimal."""
    found = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as opened:
        while chunk := opened.read(_STEP):
            found.update(chunk)
    return found.hexdigest()


def metadata_of(local: Local, md5: str) -> dict[str, str]:
    """What a good image has in it, so that the app need not read its header."""
    if kind_of(local.blob.partition("/")[2], local.size) != "image":
        return {}
    with local.file.open("rb") as opened:

        def read(offset: int, length: int) -> bytes:
            opened.seek(offset)
            return opened.read(length)

        claim = claim_of(read, local.size, md5)
    return {CLAIM: claim} if claim else {}


def is_there(local: Local, remote: Mapping[str, Remote]) -> bool:
    """Whether the container has the same bytes; a file is only read where the sizes are equal."""
    found = remote.get(local.blob)
    return found is not None and found.size == local.size and found.md5 == md5_of(local.file)


@dataclass(slots=True)
class Tally:
    """How far an upload is."""

    files: int
    uploaded: int = 0
    uploaded_bytes: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Why, by the blob's name."""
    md5: dict[str, str] = field(default_factory=dict)
    """Of the files that are there, by the blob's name."""
    started: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        return self.uploaded + self.skipped + len(self.failed)

    @property
    def bytes_per_second(self) -> float:
        return self.uploaded_bytes / max(1e-3, time.monotonic() - self.started)

    def shown(self) -> str:
        """A bar, counts, and throughput."""
        full = WIDTH * self.done // max(1, self.files)
        failed = f", {len(self.failed)} failed" if self.failed else ""
        there = f", {self.skipped:,} were there" if self.skipped else ""
        rate = f"{self.bytes_per_second / 1e6:.1f} MB/s"
        return f"[{'#' * full}{'.' * (WIDTH - full)}] {self.done:,}/{self.files:,} files{there}{failed}, {rate}"
