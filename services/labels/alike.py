"""Class names that a person takes for one, and what a label of an unknown class may have meant."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from services.labels.problems import problem
from services.state import Problem

_SEPARATORS = re.compile(r"[\s_\-]+")


def plain(name: str) -> str:
    """What is left of a class's name without case, blanks around, and one kind of separator or another.

    Separators are one, not none: `1-2` is not `12`. Plurals and other punctuation may be meant, as in `c` and `c++`.
    """
    return _SEPARATORS.sub(" ", unicodedata.normalize("NFKC", name).casefold()).strip()


def unknown_class(file: str, place: str, name: str, classes: frozenset[str]) -> Problem:
    """The problem of a label whose class is not among those of loop.yaml."""
    return problem("class-unknown", file, place, expected=_expected(name, classes), found=name)


@lru_cache(maxsize=1024)
def _expected(name: str, classes: frozenset[str]) -> str:
    """A name that is nearly the same comes first: of a thousand classes the problem shows a few."""
    near = sorted(known for known in classes if plain(known) == plain(name))
    rest = sorted(classes.difference(near))
    return f"one of {', '.join([*near, *rest])}"
