"""What learning to detect and learning to classify share: the optimiser, the schedule, the running average."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from emulator.azure_ml.training.job import Metrics
from emulator.azure_ml.training.parameters import Parameters

AVERAGE = 0.998
Item = TypeVar("Item")
Module = TypeVar("Module", bound=nn.Module)


class Watch(Protocol):
    """Follows a trial."""

    def over(self) -> bool:
        """Whether the time is over: what has been learnt is evaluated, and the trial ends."""

    def told(self, epoch: int, metrics: Metrics) -> bool:
        """Take an epoch's metrics, the primary one only where it was evaluated; whether the trial goes on."""


def learn(
    items: Sequence[Item],
    settings: Parameters,
    watch: Watch,
    step: Callable[[list[Item]], float],
    judge: Callable[[], Metrics],
) -> None:
    """All epochs of a trial: `step` learns a batch and returns its loss, `judge` evaluates."""
    dice = np.random.default_rng(settings.seed)
    for epoch in range(1, settings.epochs + 1):
        losses = []
        for batch in batches(items, settings.batch, dice):
            losses.append(step(batch))
            if watch.over():
                break
        metrics = {"train_loss": float(np.mean(losses))}
        last = epoch == settings.epochs or watch.over()
        if epoch % settings.every == 0 or last:
            metrics |= judge()
        if not watch.told(epoch, metrics) or last:
            break


class Descent(Generic[Module]):
    """The optimiser that the hyperparameters name, one cycle of its learning rate, and the average of the weights."""

    def __init__(self, module: Module, settings: Parameters, items: int) -> None:
        """For all steps of a trial over so many items."""
        self._module, self.average = module, Average(module)
        self._optimizer = optimizer(module, settings)
        self._cycle = schedule(self._optimizer, settings, settings.epochs * -(-items // settings.batch))

    def step(self, loss: Tensor) -> float:
        """Learn from a loss; returns it as a number."""
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._module.parameters(), 10.0)
        self._optimizer.step()
        self._cycle.step()
        self.average.update(self._module)
        return loss.item()


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


class Average(Generic[Module]):
    """A running average of the weights, which is what is evaluated and kept."""

    def __init__(self, module: Module) -> None:
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
