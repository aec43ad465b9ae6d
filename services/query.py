"""The query of a request that only reads: of a misspelt parameter nothing would be seen but a wrong answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.errors import BadRequest

OF_THE_HOST = frozenset({"code", "clientId"})
"""Where Azure Functions looks for a key; what a request asks for may have the same name."""
SHOWN = 40


def checked(query: Mapping[str, str], *known: str) -> dict[str, str]:
    """The parameters that are known.

    Raises:
        BadRequest: there is another one.
    """
    for name in query:
        if name not in known and name not in OF_THE_HOST:
            takes = f"which takes {', '.join(known)}" if known else "which takes none"
            raise BadRequest(f"{name[:SHOWN]}{meant(name, known)} is no parameter of this request, {takes}")
    return {name: value for name, value in query.items() if name in known}


def meant(word: str, known: Iterable[str]) -> str:
    """` (did you mean limit?)`, to stand behind the word, or nothing where no known one is near."""
    from difflib import get_close_matches  # most words are right

    close = get_close_matches(word[:SHOWN], known, 1, cutoff=0.7)
    return f" (did you mean {close[0]}?)" if close else ""
