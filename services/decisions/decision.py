"""What every decision returns, and how rules that may hold something back are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to act, the reason in a sentence with its numbers, and when it is worth asking again.

    `again_in` is in seconds; None where only new facts can change the answer.
    """

    act: bool
    reason: str
    again_in: float | None = None
    facts: dict[str, object] = field(default_factory=dict)


Asked = TypeVar("Asked")


def held(rules: Mapping[str, Callable[[Asked], Decision | None]], facts: Asked) -> Iterator[Decision]:
    """What each rule that holds says, in their order, with its name as `facts["rule"]`.

    A decision takes the first, an explanation takes all: neither can know of a rule that the other does not.
    """
    for name, rule in rules.items():
        if found := rule(facts):
            yield replace(found, facts={"rule": name, **found.facts})
