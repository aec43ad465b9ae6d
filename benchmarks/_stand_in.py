"""A cloud in this process with a data set of COCO's shape: images are made when they are read, files are on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import IO
from urllib.parse import quote

from benchmarks._coco_file import bytes_of, chunks, jpeg, name_of
from services.cloud.fakes import FakeBlobStore, FakeQueue, FakeWorkspace, fake_settings
from services.cloud.ports.storage import Blob, BlobInfo
from services.config_stage import ConfigStage
from services.context import Cloud
from services.controller import Controller
from services.datasets.stage import DatasetStage
from services.outbox import Outbox
from services.state import DatasetVersion, Event
from services.state_store import StateStore
from services.timeline import Timeline
from services.wake import Waker

LOOP = "coco"
CONFIG = b"task: object_detection\nquiet_period_seconds: 0\ntraining: {first_threshold: {images: 1000000}}\n"
LABELS = f"{LOOP}/labels/instances.json"
_IMAGES = f"{LOOP}/images/"


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Uploaded(FakeBlobStore):
    """The data container: so many images, a label file, and whatever is written besides."""

    def __init__(self, images: int, labels: Path) -> None:
        super().__init__(clock=now)
        self.images, self._labels, self._since = 0, labels, now()
        size = labels.stat().st_size
        self._listed = [BlobInfo(LABELS, '"labels"', size, self._since, "labels")]
        self.add_images(images)
        self.write(f"{LOOP}/loop.yaml", CONFIG)

    def add_images(self, count: int) -> None:
        """So many images more; only their entries in the listing are made now."""
        for number in range(self.images, self.images + count):
            text = f"{number:x}"
            md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
            self._listed.append(
                BlobInfo(f"{_IMAGES}{name_of(number)}", f'"{text}"', bytes_of(number), self._since, md5)
            )
        self.images += count

    def list(self, prefix: str = "") -> Iterator[BlobInfo]:
        virtual = [] if prefix.startswith(f"{LOOP}/loop") else self._listed
        yield from sorted([*super().list(prefix), *virtual], key=attrgetter("name"))

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> Blob:
        stem = name.removeprefix(_IMAGES).removesuffix(".jpg")
        if not stem.isdigit():
            return super().read(name, offset=offset, length=length)
        end = None if length is None else offset + length
        return Blob(jpeg(int(stem))[offset:end], f'"{int(stem):x}"')

    def stream(self, name: str, *, etag: str | None = None) -> Iterator[bytes]:
        return chunks(self._labels) if name == LABELS else super().stream(name, etag=etag)


class OnDisk(FakeBlobStore):
    """The system container; only the newest bytes written are in memory, as where storage is elsewhere."""

    def __init__(self, folder: Path) -> None:
        super().__init__(clock=now)
        self._folder = folder

    def _open(self, name: str, mode: str) -> IO[bytes]:
        opened: IO[bytes] = (self._folder / quote(name, safe="")).open(mode)
        return opened

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
        answer = super().write(name, b"", etag=etag, create=create, lease=lease, claim=claim)
        with self._open(name, "wb") as file:
            file.write(data)
        return answer

    def append(self, name: str, data: bytes) -> None:
        super().append(name, b"")
        with self._open(name, "ab") as file:
            file.write(data)

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> Blob:
        found = super().read(name)
        with self._open(name, "rb") as file:
            file.seek(offset)
            return Blob(file.read(-1 if length is None else length), found.etag)


class _Nobody:
    def dispatch(self, events: Sequence[Event]) -> None:
        """Nobody is told."""


class Process:
    """The controller in this process."""

    def __init__(self, data: FakeBlobStore, folder: Path) -> None:
        """`folder` takes the system container."""
        system, self.queue = OnDisk(folder), FakeQueue()
        cloud = Cloud(fake_settings(), data, system, FakeWorkspace(), None, now)  # type: ignore[arg-type]
        self.states = StateStore(system, now)
        outbox = Outbox(Timeline(system), _Nobody())
        stages = (ConfigStage(), DatasetStage())
        self._controller = Controller(cloud, stages, Waker(self.queue, now, 1), outbox, self.states)

    def register(self, number: int) -> tuple[DatasetVersion, int]:
        """Wake the loop until it has the version of this number; returns it and how many wakes it took."""
        for wakes in range(1, 50):
            self._controller.wake(LOOP)
            version = self.states.read(LOOP).dataset
            if version is not None and version.number >= number:
                return version, wakes
        raise RuntimeError(self.states.read(LOOP).reasons)
