"""Learns one trial of a detector over the kept features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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
EVALUATION_BATCH = 32
KEPT_SCORE = 0.05
Epoch = Callable[[int, Metrics], bool]
"""Told after each epoch; answers whether the trial goes on."""


def fit(
    samples: list[list[Sample]],
    validation: list[list[Sample]],
    rows: Sequence[Row],
    classes: int,
    settings: Parameters,
    told: Epoch,
) -> Head:
    """Learn; returns the head with averaged weights. Views beyond the trial's own are left out."""
    torch.manual_seed(settings.seed)
    dice = np.random.default_rng(settings.seed)
    head = Head(classes, SIZE, settings.width)
    assigner, average = Assigner(head), fitting.Average(head)
    items = [sample for row in samples for sample in row[: settings.views + 1]]
    descent = fitting.optimizer(head, settings)
    cycle = fitting.schedule(descent, settings, settings.epochs * -(-len(items) // settings.batch))
    for epoch in range(1, settings.epochs + 1):
        head.train()
        losses = []
        for batch in fitting.batches(items, settings.batch, dice):
            found = loss(head, assigner, stack(batch), [_truth(sample) for sample in batch])
            descent.zero_grad()
            found.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(head.parameters(), 10.0)
            descent.step()
            cycle.step()
            average.update(head)
            losses.append(found.item())
        metrics = {"train_loss": float(np.mean(losses))}
        if epoch % settings.every == 0 or epoch == settings.epochs:
            metrics |= evaluate(average.module, validation, rows, classes)
        if not told(epoch, metrics):
            break
    return average.module  # type: ignore[return-value]


def stack(batch: Sequence[Sample]) -> tuple[Tensor, ...]:
    """Taps of several samples as one batch, float32."""
    levels = range(len(batch[0].taps))
    return tuple(torch.from_numpy(np.stack([s.taps[i] for s in batch])).float() for i in levels)


def _truth(sample: Sample) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(sample.boxes), torch.from_numpy(sample.labels)


@torch.no_grad()
def evaluate(head: Any, validation: list[list[Sample]], rows: Sequence[Row], classes: int) -> Metrics:
    """MAP of the plain views."""
    found = []
    plain = [row[0] for row in validation]
    for start in range(0, len(plain), EVALUATION_BATCH):
        boxes, logits = head(stack(plain[start : start + EVALUATION_BATCH]))
        pairs = zip(boxes.numpy(), logits.sigmoid().numpy(), strict=True)
        found += [detections(b, s, KEPT_SCORE) for b, s in pairs]
    return scores.mean_average_precision(rows, found, classes)
