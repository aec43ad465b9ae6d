"""Tables of boxes or classes: one file for many images, a line for each box. What its columns are: csv_layout.py.

Lines are read one by one, so that a quote that is not closed spoils its own line only; a cell that holds a line's end
is therefore not read. The standard library's csv does the rest, and needs no help.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from services.labels.csv_layout import Layout, layout_of
from services.labels.csv_rows import Table
from services.labels.options import DEFAULT, Options
from services.labels.problems import problem
from services.labels.record import Reading
from services.labels.text_lines import text_lines
from services.labels.values import shown

_BOXES = "boxes as xmin, ymin, xmax, ymax or bbox_x, bbox_y, bbox_width, bbox_height; other columns renamed or removed"


class CsvReader:
    """One file for many images."""

    name = "csv"
    per_image = False

    def __init__(self, options: Options = DEFAULT) -> None:
        """`options` is what loop.yaml says."""
        self._options = options

    def told(self, options: Options) -> CsvReader:
        return CsvReader(options)

    def accepts(self, head: bytes) -> bool:
        return _layout(_first(text_lines(iter([head])))) is not None

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        texts = text_lines(chunks)
        first = _first(texts)
        layout = _layout(first)
        if layout is None or layout.unread:
            expected = _BOXES if layout else "a header that names image and class"
            found = f"columns {', '.join(layout.unread)}" if layout else shown(first and first[0][1])
            yield problem("csv-line-invalid", file, "line 1", expected=expected, found=found)
            return
        table = Table(file, layout)
        for count, text in chain(first[layout.header :], texts):
            if text is None or text.strip():
                yield from table.take(f"line {count}", count, text)
        yield from table.result(self._options)


def _first(texts: Iterator[tuple[int, str | None]]) -> list[tuple[int, str | None]]:
    """The first two lines with anything in them, as far as there are any."""
    return [*islice((t for t in texts if t[1] is None or t[1].strip()), 2)]


def _layout(first: Sequence[tuple[int, str | None]]) -> Layout | None:
    return layout_of(*(text or "" for _, text in first)) if first else None
