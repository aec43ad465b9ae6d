"""When a trial is stopped early, as Azure ML's sweep jobs decide it.

https://learn.microsoft.com/azure/machine-learning/how-to-tune-hyperparameters#early-termination
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any


class Policy:
    """Compares a trial with those before it; metrics are better when larger."""

    def __init__(self, settings: dict[str, Any] | None) -> None:
        """None never stops a trial."""
        self._settings = settings or {}
        self._histories: list[list[float]] = []

    def begin(self) -> None:
        """A new trial."""
        self._histories.append([])

    def stops(self, value: float) -> bool:
        """Note the running trial's newest metric; whether the trial ends now."""
        history = self._histories[-1]
        history.append(value)
        interval = int(self._settings.get("evaluation_interval") or 1)
        if not self._settings or len(history) <= int(self._settings.get("delay_evaluation") or 0):
            return False
        if len(history) % interval:
            return False
        others = [h for h in self._histories[:-1] if h]
        kind = {"bandit": self._bandit, "median_stopping": _median, "truncation_selection": self._truncation}
        return bool(others) and kind[self._settings["policy"]](history, others)

    def _bandit(self, history: Sequence[float], others: list[list[float]]) -> bool:
        """Stop outside the slack around the best that any trial had reached by this interval."""
        best = max(max(h[: len(history)]) for h in others)
        factor, amount = self._settings.get("slack_factor"), self._settings.get("slack_amount")
        return max(history) < (best / (1 + float(factor)) if factor else best - float(amount or 0))

    def _truncation(self, history: Sequence[float], others: list[list[float]]) -> bool:
        """Stop the lowest share at each interval."""
        peers = sorted(h[min(len(h), len(history)) - 1] for h in others)
        place = sum(1 for peer in peers if peer <= history[-1])
        return 100 * place / (len(peers) + 1) < float(self._settings.get("truncation_percentage") or 10)


def _median(history: Sequence[float], others: list[list[float]]) -> bool:
    """Stop where the best is worse than the median of the others' running averages."""
    return max(history) < statistics.median(statistics.mean(h[: len(history)]) for h in others)
