"""Has a slot answer the holdout, in batches small enough to yield between, keeping what was answered.

Answers lie in `evaluations/<loop>/run-<n>/<slot>-<model version>/<part>.json`, each part
`{"answers": {blob: [[label, score, left, top, right, bottom], …] or null where the image is gone}, "ms": [12.5, …]}`,
so a crash loses one part at most, and an answer is never asked for twice. The first images are asked for one by one and
timed: that is what a user of the slot waits for.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from services.cloud.ports.storage import BlobStore
from services.context import LoopContext
from services.datasets.reading import HoldoutImage
from services.errors import NotFound, UpstreamRefused
from services.loop_config import Task
from services.rollout.answers import Found, pack, read_answer, unpack

BATCH_IMAGES = 8
BATCH_BYTES = 1_000_000
"""A request stays below what a managed online endpoint accepts, 1.5 MB as base64 in JSON."""
PART_IMAGES = 64
TIMED_IMAGES = 20
"""So many images are asked for one by one."""
RESERVE_SECONDS = 15.0
"""Time kept for storing and for the rest of the wake."""

Answer = list[Found] | None


@dataclass(frozen=True, slots=True)
class Target:
    """A slot that is asked, and what is deployed there."""

    slot: str
    scoring_uri: str
    model: str
    task: Task


@dataclass(slots=True)
class Evaluation:
    """One slot's answers to the holdout, as far as there are any."""

    context: LoopContext
    run: int
    target: Target
    answers: dict[str, Answer] = field(default_factory=dict)
    took_ms: list[float] = field(default_factory=list)
    """Milliseconds of each request that held one image."""
    _parts: int = 0
    _unsaved: dict[str, Answer] = field(default_factory=dict)
    _untold: list[float] = field(default_factory=list)

    @property
    def latency_ms(self) -> float | None:
        """The 95th percentile of what one image took, by nearest rank; None where none was timed."""
        took = sorted(self.took_ms)
        return took[math.ceil(0.95 * len(took)) - 1] if took else None

    @property
    def folder(self) -> str:
        """Where the parts are, in the system container."""
        version = self.target.model.rpartition(":")[2]
        return f"evaluations/{self.context.loop}/run-{self.run}/{self.target.slot}-{version}/"

    def load(self) -> Evaluation:
        """Read the parts that an earlier wake stored."""
        system = self.context.cloud.system
        for blob in system.list(self.folder):
            self._parts += 1
            stored = json.loads(system.read(blob.name).data)
            self.took_ms += stored.get("ms", [])
            self.answers |= {n: None if rows is None else unpack(rows) for n, rows in stored["answers"].items()}
        return self

    def advance(self, images: Sequence[HoldoutImage]) -> bool:
        """Have further images answered until the time is nearly up; at least one batch. Returns whether all are.

        Raises:
            Upstream: the slot does not answer; what was answered before is stored.
        """
        waiting = [image for image in images if image.blob not in self.answers]
        try:
            alone = max(0, TIMED_IMAGES - len(self.took_ms))
            for batch in _batches(self.context.cloud.data, waiting, self._unsaved, alone):
                self._ask(batch)
                if len(self._unsaved) >= PART_IMAGES:
                    self._store()
                if self.context.time_left() < RESERVE_SECONDS:
                    break
        finally:
            self._store()
        return all(image.blob in self.answers for image in images)

    def _ask(self, batch: dict[str, bytes]) -> None:
        try:
            self._unsaved |= dict(zip(batch, self._score(list(batch.values())), strict=True))
        except UpstreamRefused:
            for blob, image in batch.items():
                self._unsaved[blob] = self._alone(image)

    def _alone(self, image: bytes) -> Answer:
        """A slot that refuses an image has found nothing in it: that counts against it."""
        try:
            return self._score([image])[0]
        except UpstreamRefused:
            return []

    def _score(self, images: list[bytes]) -> list[Answer]:
        context, target = self.context, self.target
        deadline = float(context.config.endpoint.request_timeout_seconds)
        started = time.perf_counter()
        raw = context.cloud.scorer.score(target.scoring_uri, target.slot, images, deadline=deadline)
        if len(images) == 1 and len(self.took_ms) + len(self._untold) < TIMED_IMAGES:
            self._untold.append(round(1000 * (time.perf_counter() - started), 2))
        return [read_answer(target.task, one) for one in raw]

    def _store(self) -> None:
        if not self._unsaved:
            return
        rows = {blob: None if found is None else pack(found) for blob, found in self._unsaved.items()}
        name = f"{self.folder}{self._parts:05d}.json"
        self.context.cloud.system.write(name, json.dumps({"answers": rows, "ms": self._untold}).encode())
        self._parts += 1
        self.answers |= self._unsaved
        self.took_ms += self._untold
        self._unsaved.clear()
        self._untold.clear()


def _batches(
    data: BlobStore, images: Sequence[HoldoutImage], gone: dict[str, Answer], alone: int = 0
) -> Iterator[dict[str, bytes]]:
    """Images by blob: the first `alone` one by one, then so many at a time as a request may hold.

    Images that were deleted meanwhile go to `gone`.
    """
    batch: dict[str, bytes] = {}
    for image in images:
        try:
            content = data.read(image.blob).data
        except NotFound:
            gone[image.blob] = None
            continue
        most = 1 if alone > 0 else BATCH_IMAGES
        if batch and (len(batch) >= most or sum(map(len, batch.values())) + len(content) > BATCH_BYTES):
            yield batch
            batch, alone = {}, alone - 1
        batch[image.blob] = content
    if batch:
        yield batch
