"""AutoML's names for hyperparameters, and what they mean to this trainer."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

KNOWN = {
    "learning_rate", "number_of_epochs", "training_batch_size", "batch_size", "optimizer", "weight_decay", "momentum",
    "model_name", "model_size", "views", "horizontal_flip", "evaluation_frequency", "random_seed", "early_stopping",
}  # fmt: skip
WIDTHS = {"small": 64, "medium": 96, "large": 128, "xlarge": 160}
LEARNING_RATES = {"adamw": 0.006, "adam": 0.006, "sgd": 0.02}


@dataclass(frozen=True, slots=True)
class Parameters:
    """One trial's settings. `views` is how many altered views of each image are learnt beside the plain one."""

    learning_rate: float
    epochs: int
    batch: int
    optimizer: str
    weight_decay: float
    momentum: float
    width: int
    views: int
    flips: bool
    every: int
    seed: int


def read(given: dict[str, Any], *, detection: bool, seed: int) -> Parameters:
    """Take what is known; what is not is named on standard error and left."""
    if unknown := sorted(set(given) - KNOWN):
        sys.stderr.write(f"not used by this trainer: {', '.join(unknown)}\n")
    optimizer = str(given.get("optimizer") or "adamw").lower()
    optimizer = optimizer if optimizer in LEARNING_RATES else "adamw"
    return Parameters(
        learning_rate=float(given.get("learning_rate") or LEARNING_RATES[optimizer]),
        epochs=max(1, int(given.get("number_of_epochs") or (12 if detection else 30))),
        batch=max(1, int(given.get("training_batch_size") or given.get("batch_size") or 16)),
        optimizer=optimizer,
        weight_decay=float(given.get("weight_decay") or 1e-4),
        momentum=float(given.get("momentum") or 0.9),
        width=WIDTHS.get(str(given.get("model_size") or "medium"), 96),
        views=max(0, int(given.get("views", 5 if detection else 8))),
        flips=bool(given.get("horizontal_flip", False)),
        every=max(1, int(given.get("evaluation_frequency") or 1)),
        seed=int(given.get("random_seed") or seed),
    )
