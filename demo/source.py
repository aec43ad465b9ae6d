"""What a demonstration uploads, and what it holds out to judge the model by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.drawing import draw
from demo.examples import Example, coco_file

DRAWN, DRAWN_FAST, HELD_OUT, HELD_OUT_FAST = 120, 60, 40, 12
EPOCHS, EPOCHS_FAST = 10, 6

CONFIG = """\
# What the demonstration asks of its loop; every field is explained in docs/loop.schema.json.
quiet_period_seconds: 4
max_wait_seconds: 300
training:
  first_threshold: {{images: {images}, per_class: {per_class}}}
  cooldown_seconds: 0
  limits: {{max_trials: 2, max_concurrent_trials: 2, timeout_minutes: 60, trial_timeout_minutes: 60}}
  sampling: grid
  parameters: {{number_of_epochs: {epochs}}}
  search_space:
    - {space}
"""
BOXES = "{model_name: [yolov5], learning_rate: [0.003], model_size: [medium, small]}"
CLASSES = "{model_name: [vitb16r224], learning_rate: [0.003, 0.01]}"


@dataclass(frozen=True, slots=True)
class Upload:
    """One file for the loop's folder in the data container; its bytes, or where they are."""

    name: str
    content: bytes | Path

    def read(self) -> bytes:
        """The file's bytes."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True, slots=True)
class Source:
    """A data set: `uploads` without loop.yaml, labels last; `held_out` is never uploaded."""

    loop: str
    uploads: Sequence[Upload]
    held_out: Sequence[Example]
    config: bytes
    described: str


def config(images: int, per_class: int, epochs: int, task: str = "object_detection") -> bytes:
    """A loop.yaml that suits a demonstration: no waiting, two trials."""
    space = CLASSES if task.startswith("image_classification") else BOXES
    return CONFIG.format(images=images, per_class=per_class, epochs=epochs, space=space).encode()


def drawn(loop: str, seed: int, *, fast: bool) -> Source:
    """The conveyor belt."""
    count, held_out = (DRAWN_FAST, HELD_OUT_FAST) if fast else (DRAWN, HELD_OUT)
    examples = list(draw(count, seed, "belt"))
    labels = Upload("labels/coco.json", coco_file(examples))
    uploads = [*(Upload(f"images/{e.name}", e.data) for e in examples), labels]
    things = sum(len(e.things) for e in examples)
    described = f"{count} pictures of a conveyor belt with {things} nuts, bolts and washers, and {held_out} held out"
    return Source(
        loop,
        uploads,
        list(draw(held_out, seed, "held-out")),
        config(40, 10, EPOCHS_FAST if fast else EPOCHS),
        described,
    )
