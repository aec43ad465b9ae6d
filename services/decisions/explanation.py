"""What an explanation is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing that holds a part back: the rule's name, its sentence, and its numbers."""

    rule: str
    reason: str
    numbers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One part of the loop. It would act now if, and only if, nothing is missing.

    `again_in`, in seconds, is when time alone changes the answer; None where it takes new facts.
    """

    part: str
    says: str
    missing: tuple[Missing, ...] = ()
    again_in: float | None = None

    @property
    def acts(self) -> bool:
        """Whether it would act now."""
        return not self.missing

    def sentences(self) -> Iterator[str]:
        """As lines for a person."""
        yield f"{self.part.capitalize()}: {self.says}"
        yield from (f"  - {missing.reason}" for missing in self.missing)
