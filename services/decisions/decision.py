"""What every decision returns."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to act, the reason in a sentence with its numbers, and when it is worth asking again.

    `again_in` is in seconds; None where only new facts can change the answer.
    """

    act: bool
    reason: str
    again_in: float | None = None
    facts: dict[str, object] = field(default_factory=dict)
