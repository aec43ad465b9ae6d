"""A loop with some stages of the controller over the fakes: states made in one line, and death at any outside call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.cloud.fakes import FakeCloud
from services.context import Stage
from services.controller import Controller
from services.loop_config import LoopConfig
from services.outbox import Outbox
from services.state import DatasetVersion, Event, LoopState, TrainingRun
from services.state_store import StateStore
from services.timeline import Timeline
from services.wake import Waker

LOOP = "nuts"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Killed(BaseException):
    """The process died here."""


def version(number: int = 1, **changes: Any) -> DatasetVersion:
    """Forty labelled images of two classes, registered."""
    fields: dict[str, Any] = {
        "number": number,
        "content_hash": f"content-{number}",
        "status": "registered",
        "task": "object_detection",
        "classes": ["bolt", "nut"],
        "folder": f"datasets/{LOOP}/{number}-abc/",
        "train_asset": f"vl-{LOOP}-train:{number}",
        "validation_asset": f"vl-{LOOP}-validation:{number}",
        "train_images": 32,
        "validation_images": 8,
        "annotations_per_class": {"bolt": 60, "nut": 50},
        "images_per_class": {"bolt": 30, "nut": 20},
        "new_since_trained": 40,
        "created": NOW,
    }
    return DatasetVersion(**fields | changes)


def run(number: int = 1, **changes: Any) -> TrainingRun:
    """A run that completed a day ago, after an hour."""
    fields: dict[str, Any] = {
        "number": number,
        "job": f"vl-{LOOP}-{number:012x}",
        "dataset_version": 1,
        "config_hash": "old-config",
        "status": "completed",
        "intended": NOW - timedelta(days=1, hours=2),
        "submitted": NOW - timedelta(days=1, hours=2),
        "started": NOW - timedelta(days=1, hours=2),
        "finished": NOW - timedelta(days=1, hours=1),
    }
    return TrainingRun(**fields | changes)


def state(
    *, config: dict[str, Any] | None = None, datasets: Sequence[DatasetVersion] = (), runs: Sequence[TrainingRun] = ()
) -> LoopState:
    """A loop's state with this configuration."""
    made = LoopState(loop=LOOP, created=NOW, datasets=list(datasets), runs=list(runs))
    made.config.config = LoopConfig.model_validate(config or {})
    return made


class _Told:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def dispatch(self, events: Sequence[Event]) -> None:
        self.events += events


class World:
    """One loop whose stages can be woken, killed and woken again."""

    def __init__(self, stages: Sequence[Stage], first: LoopState) -> None:
        self.fake, self._told, self._stages = FakeCloud(), _Told(), stages
        self.states = StateStore(self.fake.system, self.fake.clock)
        self.cloud = self.fake.cloud()
        self.edit(lambda old: _copy(first, old))

    @property
    def state(self) -> LoopState:
        return self.states.read(LOOP)

    @property
    def events(self) -> list[Event]:
        """Each event once, in order: the receiver knows repeated ones by their id."""
        return list({e.id: e for e in self._told.events}.values())

    @property
    def kinds(self) -> list[str]:
        return [e.type.removeprefix("visionloop.") for e in self.events]

    def edit(self, change: Callable[[LoopState], None]) -> None:
        self.fake.system.break_leases()
        with self.states.held(LOOP) as held:
            change(held.state)
            held.save(held.state)
            self._lay_out(held.state)

    def _lay_out(self, made: LoopState) -> None:
        """The files of dataset versions that a test made in one line, where it has not written them itself."""
        image = f"{LOOP}/images/laid-out.jpg"
        for found in made.datasets:
            for side in ("train", "validation"):
                folder = f"{found.folder}{side}/"
                files = {f"{folder}MLTable": b"", f"{folder}{side}_annotations.jsonl": jsonl([(image, [])])}
                for name in files.keys() - self.fake.system.blobs.keys():
                    self.fake.system.write(name, files[name])
        if made.datasets and image not in self.fake.data.blobs:
            self.fake.data.write(image, b"JPEG")

    def wake(self) -> None:
        """A new process looks at the loop, after what died before has lost its lease."""
        self.fake.system.break_leases()
        waker = Waker(self.fake.wakes, self.fake.clock, 1)
        outbox = Outbox(Timeline(self.fake.system), self._told)
        Controller(self.cloud, self._stages, waker, outbox, self.states).wake(LOOP)

    def wakes(self, count: int = 1, every: float = 31) -> None:
        for _ in range(count):
            self.wake()
            self.fake.clock.advance(every)

    def calls_of(self, act: Callable[[], None]) -> int:
        """How many outside calls, before and after counted, an act makes."""
        seen: list[str] = []
        self.fake.on_call = seen.append
        act()
        self.fake.on_call = lambda _: None
        return len(seen)

    def dying_at(self, number: int, act: Callable[[], None]) -> None:
        """Die at an outside call; whatever was not stored is gone."""
        dies_at(self.fake, number, act)


def killed_everywhere(
    calm: World, fresh: Callable[[], World], course: Callable[[World], None], most: int = 1_000_000
) -> Iterator[tuple[int, World]]:
    """`calm` goes the course; then fresh worlds go it, each killed at another outside call, and go it again.

    `most` picks about as many of the calls, evenly. At least forty must have been there: a course that does nothing
    proves nothing.
    """
    calls = calm.calls_of(lambda: course(calm))
    assert calls >= 40
    for number in range(0, calls, 1 + calls // most):
        w = fresh()
        w.dying_at(number, lambda w=w: course(w))  # type: ignore[misc]
        course(w)
        yield number, w


def dies_at(fake: FakeCloud, number: int, act: Callable[[], None]) -> bool:
    """Whether an act came as far as an outside call, before and after counted, at which its process died."""
    left = iter(range(number, -1, -1))

    def hook(call: str) -> None:
        if next(left, 1) == 0:
            raise Killed(call)

    fake.on_call = hook
    try:
        act()
    except Killed:
        return True
    finally:
        fake.on_call = lambda _: None
    return False


def _copy(source: LoopState, target: LoopState) -> None:
    for name in LoopState.model_fields:
        setattr(target, name, getattr(source, name))


def jsonl(images: Sequence[tuple[str, list[dict[str, Any]] | str | list[str]]]) -> bytes:
    """Lines of AutoML's JSONL for images of 100 by 100 pixels."""
    url = "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/d/paths/"
    details = {"format": "jpg", "width": 100, "height": 100}
    lines = [json.dumps({"image_url": url + b, "image_details": details, "label": label}) for b, label in images]
    return "\n".join(lines).encode()
