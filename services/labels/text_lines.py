"""The lines of a table as text, in UTF-8 or as spreadsheets save it, in UTF-16."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import chain

from services.labels.lines import lines

_BOM = b"\xef\xbb\xbf"
_WIDE = {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}


def text_lines(chunks: Iterator[bytes]) -> Iterator[tuple[int, str | None]]:
    """Numbered lines; None for one that is no UTF-8 or too long."""
    for count, line in lines(_narrow(chunks)):
        try:
            yield count, None if line is None else line.removeprefix(_BOM).decode()
        except UnicodeDecodeError:
            yield count, None


def _narrow(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-8, also of spreadsheets' UTF-16."""
    first = b""
    while len(first) < 2 and (chunk := next(chunks, b"")):
        first += chunk
    if first[:2] not in _WIDE:
        yield from chain((first,), chunks)
        return
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    for chunk in chain((first,), chunks):
        yield decoder.decode(chunk).encode("utf-8", "replace")
