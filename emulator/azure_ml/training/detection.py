"""Learns one trial of a detector over the kept features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from emulator.azure_ml.serving.decode import detections
from emulator.azure_ml.training import fitting, scores
from emulator.azure_ml.training.features import Sample
from emulator.azure_ml.training.head import Assigner, Head, loss
from emulator.azure_ml.training.job import Metrics, Row
from emulator.azure_ml.training.parameters import Parameters

SIZE = 320
LAYOUT = torch.channels_last
"""Saves a seventh of the time."""
EVALUATION_BATCH = 32
SMALL_PIXELS, SMALL_SHARE = 48.0, 0.05
"""The finest stride is three quarters of the work; it is left out where fewer boxes than this share are small."""


def fit(
    samples: list[list[Sample]],
    validation: list[list[Sample]],
    rows: Sequence[Row],
    classes: int,
    settings: Parameters,
    watch: fitting.Watch,
) -> Head:
    """Learn; returns the head with averaged weights. Views beyond the trial's own are left out."""
    torch.manual_seed(settings.seed)
    items = [sample for row in samples for sample in row[: settings.views + 1]]
    head = Head(classes, SIZE, settings.width, levels=levels_for(items))
    head.to(memory_format=LAYOUT)  # type: ignore[call-overload]
    assigner, descent = Assigner(head), fitting.Descent(head, settings, len(items))

    def step(batch: list[Sample]) -> float:
        return descent.step(loss(head, assigner, stack(batch, head.levels), [_truth(sample) for sample in batch]))

    fitting.learn(items, settings, watch, step, lambda: evaluate(descent.average.module, validation, rows, classes))
    return descent.average.module


def levels_for(items: Sequence[Sample]) -> tuple[int, ...]:
    """Which taps to learn from, by the boxes of all views: without small ones, the finest is left out."""
    boxes = np.concatenate([item.boxes for item in items])
    sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])) * SIZE
    return (0, 1, 2) if (sides < SMALL_PIXELS).mean() > SMALL_SHARE else (1, 2)


def stack(batch: Sequence[Sample], levels: Sequence[int]) -> list[Tensor]:
    """Some taps of several samples as one batch, float32."""
    found = [sample.taps() for sample in batch]
    stacked = (torch.from_numpy(np.stack([taps[level] for taps in found])) for level in levels)
    return [taps.float().contiguous(memory_format=LAYOUT) for taps in stacked]


def _truth(sample: Sample) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(sample.boxes), torch.from_numpy(sample.labels)


@torch.no_grad()
def evaluate(head: Head, validation: list[list[Sample]], rows: Sequence[Row], classes: int) -> Metrics:
    """MAP of the plain views."""
    found = []
    plain = [row[0] for row in validation]
    for start in range(0, len(plain), EVALUATION_BATCH):
        boxes, logits = head(stack(plain[start : start + EVALUATION_BATCH], head.levels))
        pairs = zip(boxes.numpy(), logits.sigmoid().numpy(), strict=True)
        found += [detections(b, s, scores.KEPT_SCORE) for b, s in pairs]
    return scores.mean_average_precision(rows, found, classes)
