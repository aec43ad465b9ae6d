"""Learns one trial of a classifier, single- or multi-label, over the kept features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from emulator.azure_ml.training import fitting, scores
from emulator.azure_ml.training.backbone import CHANNELS
from emulator.azure_ml.training.features import Sample
from emulator.azure_ml.training.job import Metrics
from emulator.azure_ml.training.parameters import Parameters

SIZE = 320


class Classifier(nn.Module):
    """Taps in, class scores (n, classes) out: means of two taps and the maxima of the last, one linear layer."""

    POOLS = (("GlobalAveragePool", 1), ("GlobalAveragePool", 2), ("GlobalMaxPool", 2))
    """What is pooled, by the names of ONNX, and from which tap."""

    def __init__(self, classes: int, *, multilabel: bool) -> None:
        """Scores are probabilities: of one class, or of each by itself."""
        super().__init__()
        width = sum(CHANNELS[tap] for _, tap in self.POOLS)
        self.multilabel = multilabel
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(0.3)
        self.linear = nn.Linear(width, classes)

    def pooled(self, taps: tuple[Tensor, ...]) -> Tensor:
        """(n, width)."""
        return torch.cat([taps[1].mean((2, 3)), taps[2].mean((2, 3)), taps[2].amax((2, 3))], dim=1)

    def logits(self, pooled: Tensor) -> Tensor:
        """(n, classes)."""
        found: Tensor = self.linear(self.dropout(self.norm(pooled)))
        return found

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight (classes, width) and bias (classes,) of the normalisation and the linear layer as one."""
        norm, linear = self.norm, self.linear
        assert norm.running_mean is not None  # noqa: S101  # for mypy: it is there unless switched off
        assert norm.running_var is not None  # noqa: S101
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * gain
        return linear.weight * gain, linear.bias + linear.weight @ shift

    def forward(self, taps: tuple[Tensor, ...]) -> Tensor:
        """See the class."""
        logits = self.logits(self.pooled(taps))
        return logits.sigmoid() if self.multilabel else logits.softmax(dim=1)


def fit(
    samples: list[list[Sample]],
    validation: list[list[Sample]],
    classes: int,
    settings: Parameters,
    watch: fitting.Watch,
    *,
    multilabel: bool,
) -> Classifier:
    """Learn; returns the classifier with averaged weights."""
    torch.manual_seed(settings.seed)
    model = Classifier(classes, multilabel=multilabel)
    items = [sample for row in samples for sample in row[: settings.views + 1]]
    pooled, truth = _pool(model, items), _targets(items, classes)
    plain = [row[0] for row in validation]
    judged, wanted = _pool(model, plain), _targets(plain, classes)
    descent = fitting.Descent(model, settings, len(items))

    def step(batch: list[int]) -> float:
        return descent.step(_loss(model.logits(pooled[batch]), truth[batch], multilabel=multilabel))

    def judge() -> Metrics:
        return _evaluate(descent.average.module, judged, wanted, multilabel=multilabel)

    fitting.learn(range(len(items)), settings, watch, step, judge)
    return descent.average.module


@torch.no_grad()
def _pool(model: Classifier, items: Sequence[Sample]) -> Tensor:
    parts = [model.pooled(tuple(torch.from_numpy(tap).float()[None] for tap in item.taps())) for item in items]
    return torch.cat(parts)


def _targets(items: Sequence[Sample], classes: int) -> Tensor:
    found: NDArray[np.float32] = np.zeros((len(items), classes), dtype=np.float32)
    for row, item in zip(found, items, strict=True):
        row[item.labels] = 1.0
    return torch.from_numpy(found)


def _loss(logits: Tensor, truth: Tensor, *, multilabel: bool) -> Tensor:
    if multilabel:
        return F.binary_cross_entropy_with_logits(logits, truth)
    return F.cross_entropy(logits, truth, label_smoothing=0.05)


@torch.no_grad()
def _evaluate(model: Classifier, pooled: Tensor, truth: Tensor, *, multilabel: bool) -> Metrics:
    logits = model.logits(pooled)
    if multilabel:
        return scores.mean_iou(truth.numpy(), logits.sigmoid().numpy())
    return scores.accuracy(truth.argmax(1).numpy(), logits.softmax(1).numpy())
