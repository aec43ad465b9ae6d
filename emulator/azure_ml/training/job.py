"""job.json, the lines that the trainer says, and the errors that are the user's."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Task = str
Metrics = dict[str, float]


class UserError(Exception):
    """Something is wrong with the data or the parameters."""


class Canceled(Exception):
    """The job was told to end."""


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled image; boxes normalised x1, y1, x2, y2 in the displayed frame, with a class index each."""

    image: Path
    boxes: tuple[tuple[float, float, float, float], ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of hyperparameters."""

    name: str
    hyperparameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A parsed job.json."""

    folder: Path
    task: Task
    metric: str
    classes: tuple[str, ...]
    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    trials: tuple[Trial, ...]
    policy: dict[str, Any] | None
    deadline: float
    trial_seconds: float
    cache: Path
    seed: int
    threads: int

    @property
    def is_detection(self) -> bool:
        return self.task == "object_detection"


def say(event: str, **fields: Any) -> None:
    """Tell the emulator, a JSON object a line."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def read_job(folder: Path) -> Job:
    """Read job.json.

    Raises:
        UserError: there is nothing to learn from.
    """
    found = json.loads((folder / "job.json").read_text())
    task = found["task"]
    names = sorted({name for row in (*found["train"], *found["validation"]) for name in _names(row["label"])})
    if not names:
        raise UserError("No image has a label")
    index = {name: number for number, name in enumerate(names)}
    train, validation = (tuple(_row(row, index) for row in found[part]) for part in ("train", "validation"))
    if len(train) < 2 or not validation:
        raise UserError(
            f"At least 2 training images and 1 validation image are needed, not {len(train)}, {len(validation)}"
        )
    if task == "object_detection" and not any(row.boxes for row in train):
        raise UserError("No training image has a box")
    return Job(
        folder=folder,
        task=task,
        metric=found["primary_metric"],
        classes=tuple(names),
        train=train,
        validation=validation,
        trials=tuple(Trial(t["name"], t["hyperparameters"]) for t in found["trials"]),
        policy=found.get("early_termination"),
        deadline=time.monotonic() + float(found["timeout_seconds"]),
        trial_seconds=float(found["trial_timeout_seconds"]),
        cache=Path(found["feature_cache"]),
        seed=int(found.get("seed", 0)),
        threads=int(found.get("threads", 1)),
    )


def _names(label: Any) -> list[str]:
    if isinstance(label, str):
        return [label]
    return [str(part["label"] if isinstance(part, dict) else part) for part in label]


def _row(row: dict[str, Any], index: dict[str, int]) -> Row:
    label, names = row["label"], _names(row["label"])
    boxes: list[tuple[float, float, float, float]] = []
    if isinstance(label, list) and label and isinstance(label[0], dict):
        boxes = [(b["topX"], b["topY"], b["bottomX"], b["bottomY"]) for b in label]
    return Row(Path(row["image"]), tuple(boxes), tuple(index[name] for name in names))
