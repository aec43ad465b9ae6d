"""JSON Lines: each line stands by itself, so a bad one is left out and the others are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from services.labels.json_stream import JsonError, decode
from services.labels.lines import MOST_LINE, lines
from services.labels.problems import problem
from services.labels.record import Reading

Read = Callable[[str, str, Any], Iterator[Reading]]
"""What a line's value says: of the file, the place in it, and the value."""


def json_lines(file: str, chunks: Iterator[bytes], read: Read) -> Iterator[Reading]:
    """Everything that `read` makes of the lines that hold JSON, and the problems of the others."""
    for count, text in lines(chunks):
        if text is None or text.strip():
            yield from _line(file, f"line {count}", text, read)


def _line(file: str, place: str, text: bytes | None, read: Read) -> Iterator[Reading]:
    if text is None:
        limit = f"a line of at most {MOST_LINE} bytes"
        yield problem("json-invalid", file, place, expected=limit, found="a longer one")
        return
    try:
        value = decode(text)
    except JsonError as error:
        yield problem("json-invalid", file, place, expected=error.expected, found=error.found)
        return
    yield from read(file, place, value)
