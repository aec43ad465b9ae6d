"""What the slots did with users' requests, summed over the documents that the proxy's processes wrote.

Each process writes `<folder><process>.json`: `{"slots": {slot: {"requests": n, "errors": n, "ms": [count, …]}}}`, all
that it counted since the folder was named, every few seconds while there is something new. `ms` counts requests by
latency in the classes of `bounds_ms`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate

from services.cloud.ports.storage import BlobStore
from services.state import Watched

FIRST_MS, GROWTH, CLASSES = 1.0, 1.2, 64
"""Latency classes: up to 1 ms, 1.2 ms, 1.44 ms … 97 s; a percentile is right within a fifth."""


def bounds_ms() -> list[float]:
    """The upper bound of each class of latencies."""
    return [FIRST_MS * GROWTH**number for number in range(CLASSES)]


def look(system: BlobStore, folder: str) -> dict[str, Watched]:
    """All processes' counts, by slot."""
    counts: dict[str, list[list[int]]] = {}
    seen: dict[str, Watched] = {}
    for blob in system.list(folder):
        for slot, found in json.loads(system.read(blob.name).data)["slots"].items():
            sums = seen.setdefault(slot, Watched())
            sums.requests += found["requests"]
            sums.errors += found["errors"]
            counts.setdefault(slot, []).append(found["ms"])
    for slot, tables in counts.items():
        seen[slot].p95_ms = percentile([sum(column) for column in zip(*tables, strict=True)], 0.95)
    return seen


def percentile(counts: Sequence[int], share: float) -> float | None:
    """The upper bound of the class that holds the percentile; None without a request."""
    total = sum(counts)
    if not total:
        return None
    sums = accumulate(counts)
    return round(next(bound for bound, sum_ in zip(bounds_ms(), sums, strict=True) if sum_ >= share * total), 1)
