"""What a sweep draws a parameter from. Apart from the ports, so that loop.yaml can be checked without any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DistributionKind = Literal[
    "choice",
    "randint",
    "uniform",
    "quniform",
    "loguniform",
    "qloguniform",
    "normal",
    "qnormal",
    "lognormal",
    "qlognormal",
]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One parameter's distribution in a sweep, as Azure ML writes it: `uniform(0.001,0.01)`."""

    kind: DistributionKind
    arguments: tuple[str | int | float | bool, ...]

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(str, self.arguments))})"
