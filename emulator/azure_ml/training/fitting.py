"""What learning to detect and learning to classify share: the optimiser, the schedule, the running average."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from emulator.azure_ml.training.parameters import Parameters

AVERAGE = 0.998
Item = TypeVar("Item")


def optimizer(module: nn.Module, settings: Parameters) -> torch.optim.Optimizer:
    """The optimiser that the hyperparameters name."""
    common: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(module.parameters(), momentum=settings.momentum, nesterov=True, **common)
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(module.parameters(), **common)


def schedule(found: torch.optim.Optimizer, settings: Parameters, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """One cycle over all steps."""
    return torch.optim.lr_scheduler.OneCycleLR(found, settings.learning_rate, total_steps=max(2, steps), pct_start=0.2)


class Average:
    """A running average of the weights, which is what is evaluated and kept."""

    def __init__(self, module: nn.Module) -> None:
        """Start at the module's weights."""
        self.module = copy.deepcopy(module).eval()
        self._steps = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take one step towards the module's weights, a large one at first."""
        self._steps += 1
        keep = min(AVERAGE, (1 + self._steps) / (10 + self._steps))
        for mine, new in zip(self.module.state_dict().values(), module.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.mul_(keep).add_(new, alpha=1 - keep)


def batches(items: Sequence[Item], size: int, dice: np.random.Generator) -> Iterator[list[Item]]:
    """All items once, shuffled."""
    order = dice.permutation(len(items))
    for start in range(0, len(items), size):
        yield [items[i] for i in order[start : start + size]]
