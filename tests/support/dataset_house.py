"""A loop's dataset stage over the fakes, and small pictures and labels to feed it."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from PIL import Image

from services.cloud.fakes import FakeCloud
from services.context import LoopContext
from services.datasets.parts import files_of
from services.datasets.splits import Side
from services.datasets.stage import DatasetStage
from services.loop_config import LoopConfig
from services.state import CatalogueState, Event, LoopState

LOOP = "parts"
STATE = f"state/{LOOP}.json"
Box = tuple[float, float, float, float]


@cache
def picture(number: int, width: int = 64, height: int = 48, kind: str = "PNG", orientation: int = 1) -> bytes:
    """A small picture whose bytes are those of its number only."""
    exif = Image.Exif()
    exif[274] = orientation
    out = io.BytesIO()
    color = (number % 256, number // 256 % 256, 99)
    Image.new("RGB", (width, height), color).save(out, kind, exif=exif)
    return out.getvalue()


def voc(*objects: tuple[str, Box], size: tuple[int, int] = (64, 48)) -> bytes:
    """A VOC file; boxes are xmin, ymin, xmax, ymax."""
    corners = ("xmin", "ymin", "xmax", "ymax")
    text = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{c}>{v}</{c}>" for c, v in zip(corners, box, strict=True))
        + "</bndbox></object>"
        for name, box in objects
    )
    size_text = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation><filename>wrong.jpg</filename>{size_text}{text}</annotation>".encode()


def coco(images: Mapping[str, Sequence[tuple[str, Box]]], size: tuple[int, int] = (64, 48)) -> bytes:
    """A COCO file; boxes are x, y, width, height."""
    names = sorted({name for objects in images.values() for name, _ in objects})
    annotations = [
        {"id": 1, "image_id": i, "category_id": names.index(name), "bbox": list(box), "iscrowd": 0}
        for i, objects in enumerate(images.values())
        for name, box in objects
    ]
    listed = [{"id": i, "file_name": n, "width": size[0], "height": size[1]} for i, n in enumerate(images)]
    categories = [{"id": i, "name": n} for i, n in enumerate(names)]
    return json.dumps({"images": listed, "annotations": annotations, "categories": categories}).encode()


BOX: Box = (8, 6, 32, 24)


class House:
    """Uploads, looks and time. State is stored as the controller does, without its lease."""

    def __init__(self, config: LoopConfig | None = None) -> None:
        self.fakes = FakeCloud()
        self.time_left: Callable[[], float] = lambda: 100.0
        self.stage = DatasetStage()
        self.told: list[Event] = []
        state = LoopState(loop=LOOP, created=self.fakes.clock())
        state.config.config = config or LoopConfig()
        self.fakes.system.write(STATE, state.model_dump_json().encode())

    @property
    def state(self) -> LoopState:
        return LoopState.model_validate_json(self.fakes.system.blobs[STATE].data)

    def configure(self, **changes: Any) -> None:
        state = self.state
        state.config.config = LoopConfig.model_validate(changes)
        self.fakes.system.write(STATE, state.model_dump_json().encode())

    def change_state(self, change: Callable[[LoopState], None]) -> None:
        state = self.state
        change(state)
        self.fakes.system.write(STATE, state.model_dump_json().encode())

    def upload(self, **files: bytes) -> None:
        """Upload below the loop's folder; `__` in a name is a slash, `_dot_` a dot."""
        for name, data in files.items():
            self.put(name.replace("__", "/").replace("_dot_", "."), data)

    def put(self, path: str, data: bytes) -> None:
        self.fakes.data.write(f"{LOOP}/{path}", data)

    def remove(self, path: str) -> None:
        self.fakes.data.delete(f"{LOOP}/{path}")

    def labelled(self, count: int, start: int = 0, names: Sequence[str] = ("nut", "bolt")) -> None:
        """Upload pictures with a VOC sidecar each."""
        for i in range(start, start + count):
            self.put(f"images/{i:03}.png", picture(i))
            self.put(f"images/{i:03}.xml", voc((names[i % len(names)], BOX)))

    def step(self) -> float | None:
        """One step on freshly read state; what it did not save is lost, as the controller's outbox is emptied."""
        state = self.state
        context = LoopContext(self.fakes.cloud(), state, self._store, self.time_left)
        wait = self.stage.step(context)
        self.told += state.outbox
        state.outbox = []
        self._store(state)
        return wait

    def _store(self, state: LoopState) -> None:
        self.fakes.system.write(STATE, state.model_dump_json().encode())

    def calls_of_a_look(self) -> list[str]:
        """What one step asks of the data container, sorted."""
        self.fakes.data.calls.clear()
        self.step()
        return sorted(self.fakes.data.calls)

    def settle(self) -> LoopState:
        """Look as often as asked for, time passing as asked for."""
        for _ in range(50):
            wait = self.step()
            if wait is None:
                return self.state
            self.fakes.clock.advance(wait)
        raise AssertionError("The stage never came to rest")

    def kinds(self) -> list[str]:
        return [e.type.removeprefix("visionloop.") for e in self.told]

    def lines(self, side: Side, version: int = -1) -> list[dict[str, Any]]:
        files = files_of(self.fakes.system, self.state.datasets[version], side)
        return [json.loads(line) for f in files for line in self.fakes.system.blobs[f].data.splitlines()]


def looked(house: House) -> CatalogueState:
    """The catalogue after one more step."""
    house.step()
    return house.state.catalogue


def codes(found: CatalogueState) -> Counter[str]:
    """How many problems of each code."""
    return Counter(p.code for p in found.problems)
