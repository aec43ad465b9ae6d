"""COCO's run-length encoded masks, as lists and as compressed texts, and the outlines around their pixels.

Contract: the reference implementation's maskApi.c: runs of pixels out of and in the mask by turns, column by column;
the text has six bits a character, and from the fourth count on the difference to the count before the last.

Own code, since `pycocotools.mask` trusts its input (a text that lies about its length is read beyond its end) and has
no outlines. Time and memory go by the number of runs, whatever size the mask declares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from services.labels.annotation import Polygon

MOST_SIDE = 1_000_000
Run = tuple[int, int]
Point = tuple[int, int]


class Mask(NamedTuple):
    """Size in pixels, and runs as they are counted down one column after the other."""

    width: int
    height: int
    runs: tuple[Run, ...]


class _Band(NamedTuple):
    """Equal neighbouring columns from `left` to before `right`, and the runs of pixels in each of them."""

    left: int
    right: int
    runs: tuple[Run, ...]


def read_mask(value: dict[str, Any]) -> Mask | None:
    """The mask of `{"size": [height, width], "counts": …}`, or None where it is none."""
    size, counts = value.get("size"), value.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(_is_count(s) and 0 < s < MOST_SIDE for s in size):
        return None
    found = _uncompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(found, list) or not all(map(_is_count, found)) or sum(found) != size[0] * size[1]:
        return None
    return Mask(size[1], size[0], tuple(_runs(found)))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _uncompressed(text: str) -> list[int] | None:
    found: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 50:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            found.append(value + (found[-2] if len(found) > 2 else 0))
            value = shift = 0
    return found if not shift else None


def _runs(counts: Sequence[int]) -> list[Run]:
    """Runs in the mask; those that touch are one."""
    found: list[Run] = []
    at = 0
    for index, count in enumerate(counts):
        if index % 2 and count:
            start = found.pop()[0] if found and found[-1][1] == at else at
            found.append((start, at + count))
        at += count
    return found


def outlines(mask: Mask) -> tuple[Polygon, ...]:
    """Polygons along the pixels' borders, one for each part of the mask; pixels that touch by a corner are two parts.

    Holes are filled: neither COCO's nor AutoML's polygons can express them.
    """
    edges: dict[Point, list[Point]] = {}
    for start, end in _edges(list(_bands(mask))):
        edges.setdefault(start, []).append(end)
    return tuple(_flat(loop) for loop in _loops(edges) if _turns_right(loop))


def _bands(mask: Mask) -> Iterator[_Band]:
    """From left to right, those without any pixel left out."""
    column, runs = -1, list[Run]()
    for left, right, run in (piece for each in mask.runs for piece in _pieces(each, mask.height)):
        if runs and left != column:
            yield _Band(column, column + 1, tuple(runs))
            runs = []
        if right - left > 1:
            yield _Band(left, right, (run,))
        else:
            column, runs = left, [*runs, run]
    if runs:
        yield _Band(column, column + 1, tuple(runs))


def _pieces(run: Run, height: int) -> Iterator[tuple[int, int, Run]]:
    """A run by columns: what it has of the first and of the last one, and the full ones between them as one."""
    (first, top), (last, bottom) = divmod(run[0], height), divmod(run[1], height)
    if first == last:
        yield first, first + 1, (top, bottom)
        return
    if top:
        yield first, first + 1, (top, height)
    if (left := first + bool(top)) < last:
        yield left, last, (0, height)
    if bottom:
        yield last, last + 1, (0, bottom)


def _edges(bands: Sequence[_Band]) -> Iterator[tuple[Point, Point]]:
    """The border, each part with the mask at its right hand."""
    empty = _Band(-1, -1, ())
    for before, band in pairwise((empty, *bands, empty)):
        if before.right == band.left:
            yield from _upright(band.left, before.runs, band.runs)
        else:
            yield from _upright(before.right, before.runs, ())
            yield from _upright(band.left, (), band.runs)
        for top, bottom in band.runs:
            yield (band.left, top), (band.right, top)
            yield (band.right, bottom), (band.left, bottom)


def _upright(x: int, left: Sequence[Run], right: Sequence[Run]) -> Iterator[tuple[Point, Point]]:
    """Where only one of two columns has pixels: down along those at the left, up along those at the right."""
    ends = [{y for run in runs for y in run} for runs in (left, right)]
    inside = [False, False]
    for y, below in pairwise(sorted(ends[0] | ends[1])):
        inside = [now != (y in turns) for now, turns in zip(inside, ends, strict=True)]
        if inside == [True, False]:
            yield (x, y), (x, below)
        elif inside == [False, True]:
            yield (x, below), (x, y)


def _loops(edges: dict[Point, list[Point]]) -> Iterator[list[Point]]:
    """The corners of every closed way along the edges, which are used up."""
    for start in [*edges]:  # looking for the first that is left would go over all that are gone, each time
        while start in edges:
            loop = [start]
            while (following := _way(edges, loop)) is not None:
                _remove(edges, loop[-1], following)
                loop.append(following)
            yield _corners(loop[:-1])


def _way(edges: dict[Point, list[Point]], loop: Sequence[Point]) -> Point | None:
    """The next point; where two ways go on, the right one, so that pixels that touch by a corner stay apart."""
    ways = edges.get(loop[-1], [])
    if len(loop) == 1:
        return ways[0]
    (x0, y0), (x, y) = loop[-2:]
    turn = _sign(y0 - y), _sign(x - x0)
    ahead = None if loop[-1] == loop[0] else ways[0]
    return next((way for way in ways if (_sign(way[0] - x), _sign(way[1] - y)) == turn), ahead)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _remove(edges: dict[Point, list[Point]], start: Point, end: Point) -> None:
    edges[start].remove(end)
    if not edges[start]:
        del edges[start]


def _corners(loop: Sequence[Point]) -> list[Point]:
    around = zip((loop[-1], *loop), loop, (*loop[1:], loop[0]), strict=False)
    return [at for before, at, after in around if (before[0] == at[0]) != (at[0] == after[0])]


def _turns_right(loop: Sequence[Point]) -> bool:
    """Whether it goes around pixels and not around a hole; y grows downwards."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise((*loop, loop[0]))) > 0


def _flat(loop: Sequence[Point]) -> Polygon:
    return tuple(float(n) for point in loop for n in point)
