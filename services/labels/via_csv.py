"""The table of the VGG Image Annotator (VIA) 1 and 2: a line for each region, JSON in its cells. See via_regions.py.

Contract: VIA's own code, `pack_via_metadata`: an image without regions has a line with `{}` for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from services.labels.csv_layout import cells
from services.labels.json_stream import JsonError, decode
from services.labels.lines import MOST_LINE
from services.labels.problems import problem
from services.labels.record import Reading
from services.labels.text_lines import text_lines
from services.labels.values import shown
from services.labels.via_regions import Region, Regions
from services.state import Problem

_COLUMNS = ("filename", "file_attributes", "region_shape_attributes", "region_attributes")


class _Row(NamedTuple):
    """A line's cells; attributes and shapes as they are decoded later."""

    line: int
    image: str
    about: str
    shape: str
    attributes: str

    @property
    def size(self) -> int:
        return len(self.about) + len(self.shape) + len(self.attributes)


class ViaCsvReader:
    """One file for many images, whose lines stand together; a bad line is left out and the others are kept."""

    name = "via-csv"
    per_image = False

    def accepts(self, head: bytes) -> bool:
        _, text = next(_filled(iter((head,))), (0, None))
        return text is not None and _columns(text) is not None

    def read(self, file: str, chunks: Iterator[bytes]) -> Iterator[Reading]:
        texts = _filled(chunks)
        _, header = next(texts, (0, None))
        columns = _columns(header or "")
        if columns is None:
            yield problem("csv-line-invalid", file, "line 1", expected=", ".join(_COLUMNS), found=shown(header))
            return
        regions, done = Regions(file), set[str]()
        for found in _together(_rows(file, columns, texts)):
            if isinstance(found, Problem):
                yield found
            elif found[0].image in done:
                expected = f"the lines of an image together, with at most {MOST_LINE} characters"
                yield problem("csv-line-invalid", file, f"line {found[0].line}", expected=expected, found="more")
            else:
                done.add(found[0].image)
                yield from _image(regions, found)


def _filled(chunks: Iterator[bytes]) -> Iterator[tuple[int, str | None]]:
    return ((count, text) for count, text in text_lines(chunks) if text is None or text.strip())


def _columns(header: str) -> tuple[int, ...] | None:
    """Where the columns are; the first one was #filename once."""
    names = [name.lower().removeprefix("#") for name in cells(header, ",") or ()]
    return tuple(map(names.index, _COLUMNS)) if set(_COLUMNS) <= set(names) else None


def _rows(file: str, columns: Sequence[int], texts: Iterator[tuple[int, str | None]]) -> Iterator[_Row | Problem]:
    for count, text in texts:
        found = cells(text, ",") if text else None
        if not found or len(found) <= max(columns):
            expected = f"UTF-8 text with {max(columns) + 1} cells, and every quote closed"
            yield problem("csv-line-invalid", file, f"line {count}", expected=expected, found=shown(text))
        else:
            image, about, shape, attributes = (found[at] for at in columns)
            yield _Row(count, image, about, shape, attributes)


def _together(rows: Iterator[_Row | Problem]) -> Iterator[list[_Row] | Problem]:
    """The lines of each image, as far as they stand together and are not too long to be held."""
    held, size = list[_Row](), 0
    for row in rows:
        if isinstance(row, Problem):
            yield row
            continue
        if held and (row.image != held[0].image or size > MOST_LINE):
            yield held
            held, size = [], 0
        held.append(row)
        size += row.size
    if held:
        yield held


def _image(regions: Regions, rows: Sequence[_Row]) -> Iterator[Reading]:
    first = rows[0]
    return regions.image(f"line {first.line}", first.image, _decoded(first.about), _regions(rows))


def _regions(rows: Sequence[_Row]) -> Iterator[Region]:
    for row in rows:
        shape, attributes = _decoded(row.shape), _decoded(row.attributes)
        if shape or attributes:
            yield f"line {row.line}", shape, attributes


def _decoded(cell: str) -> Any:
    """The value in a cell; the text itself where it is no JSON, which is then no shape and no attribute."""
    try:
        return decode(cell.encode())
    except JsonError:
        return cell
