"""The lines of a file of any size."""

from __future__ import annotations

from collections.abc import Iterator

MOST_LINE = 1 << 24
"""Bytes that a line may have; more of one is never held."""


def lines(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Each line without its end and its number from 1; None for one that is longer than MOST_LINE."""
    number, rest, too_long = 1, bytearray(), False
    for chunk in chunks:
        *ended, last = chunk.split(b"\n")
        for end in ended:
            rest += end
            yield number, None if too_long or len(rest) > MOST_LINE else bytes(rest)
            number, too_long = number + 1, False
            rest.clear()
        rest += last
        if len(rest) > MOST_LINE:
            too_long = True
            rest.clear()
    if rest or too_long:
        yield number, None if too_long else bytes(rest)
