"""Train or validation: assigned once per content, never changed.

Classes are served from the rarest to the most common, so that a rare class gets both sides before images that it shares
with common classes are given away. The order within a class is that of the content hashes: as good as random, and the
same at every attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

Side = Literal["train", "validation"]
NEGATIVE = ""
"""Images without objects are split as if they were a class of this name."""


def assign(new: Mapping[str, frozenset[str]], known: Mapping[str, Mapping[str, int]], share: float) -> dict[str, Side]:
    """A side for each new content.

    Args:
        new: classes of each new image, by content hash.
        known: images of each class that have a side already, by class and side.
        share: of images for validation, between 0 and 1.
    """
    tally = _Tally(new, known)
    sides: dict[str, Side] = {}
    for name in tally.rarest_first():
        waiting = sorted((c for c in tally.members[name] if c not in sides), key=lambda c: (tally.harm(c, share), c))
        missing = tally.wanted(name, share) - tally.validation[name]
        for rank, content in enumerate(waiting):
            sides[content] = "validation" if rank < missing else "train"
            tally.validation.update(tally.classes[content] if rank < missing else ())
    return {content: sides.get(content, "train") for content in new}


class _Tally:
    """How many images each class has, and how many of them are for validation."""

    def __init__(self, new: Mapping[str, frozenset[str]], known: Mapping[str, Mapping[str, int]]) -> None:
        self.classes = {content: names or {NEGATIVE} for content, names in new.items()}
        self.validation = Counter({name: sides.get("validation", 0) for name, sides in known.items()})
        self.total = Counter({name: sum(sides.values()) for name, sides in known.items()})
        self.members: dict[str, list[str]] = {}
        for content, names in self.classes.items():
            self.total.update(names)
            for name in names:
                self.members.setdefault(name, []).append(content)

    def rarest_first(self) -> Iterable[str]:
        """Classes that can have both sides; an only image goes with its other classes, or into train."""
        return sorted((n for n in self.members if self.total[n] > 1), key=lambda n: (self.total[n], n))

    def wanted(self, name: str, share: float) -> int:
        """Images of a class that should be for validation: at least one, and never all."""
        total = self.total[name]
        return min(max(round(share * total), 1), total - 1)

    def harm(self, content: str, share: float) -> int:
        """How many of an image's classes have enough for validation already."""
        return sum(self.validation[n] >= self.wanted(n, share) for n in self.classes[content])
