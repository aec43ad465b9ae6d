"""Sentences about numbers."""

from __future__ import annotations


def numbered(count: int, what: str) -> str:
    """`1 machine`, `2 machines`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
