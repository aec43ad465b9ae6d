"""Sentences about numbers."""

from __future__ import annotations

from collections.abc import Mapping


def numbered(count: int, what: str, several: str = "") -> str:
    """`1 machine`, `2 machines`; `several` where it is not `what` with an s: `2 classes`."""
    return f"{count:,} {what if count == 1 else several or f'{what}s'}"


def shares(traffic: Mapping[str, int]) -> str:
    """`blue 90 %, green 10 %`, or `nobody`."""
    return ", ".join(f"{slot} {percent} %" for slot, percent in sorted(traffic.items()) if percent) or "nobody"
