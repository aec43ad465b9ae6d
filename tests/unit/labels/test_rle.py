"""COCO's masks, held against the reference implementation: what it encodes is outlined, and drawn it is the mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as reference

from services.labels.rle import Mask, outlines, read_mask
from tests.support.timing import quickest

bits = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1))


def runs_of(mask: Any) -> list[int]:
    """The counts of an uncompressed mask."""
    counts, before = [0], 0
    for value in mask.flatten(order="F"):
        if value != before:
            counts.append(0)
            before = value
        counts[-1] += 1
    return counts


def drawn(mask: Mask) -> Any:
    """Pixels whose middle is within an odd number of outlines of one part."""
    found = np.zeros((mask.height, mask.width), np.uint8)
    for polygon in outlines(mask):
        corners = list(zip(polygon[::2], polygon[1::2], strict=True))
        for y, x in np.ndindex(found.shape):
            found[y, x] |= inside(corners, x + 0.5, y + 0.5)
    return found


def inside(corners: list[tuple[float, float]], x: float, y: float) -> bool:
    sides = zip(corners, [*corners[1:], corners[0]], strict=True)
    return sum(x0 == x1 and x0 < x and min(y0, y1) < y < max(y0, y1) for (x0, y0), (x1, y1) in sides) % 2 == 1


def filled(mask: Any) -> Any:
    """The mask without holes: what cannot be reached from beyond it over sides and corners."""
    wide = np.pad(mask, 1)
    open_, todo = {(0, 0)}, [(0, 0)]
    while todo:
        y, x = todo.pop()
        near = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        new = {n for n in near if 0 <= n[0] < wide.shape[0] and 0 <= n[1] < wide.shape[1] and not wide[n]} - open_
        open_ |= new
        todo += new
    return np.array([[(y + 1, x + 1) not in open_ for x in range(mask.shape[1])] for y in range(mask.shape[0])])


@settings(max_examples=200)
@given(bits)
def test_what_is_encoded_is_read_and_its_outlines_draw_it(bitmap: Any) -> None:
    encoded = reference.encode(np.asfortranarray(bitmap))
    compressed = read_mask({"size": list(encoded["size"]), "counts": encoded["counts"].decode()})
    assert compressed is not None
    assert compressed == read_mask({"size": list(bitmap.shape), "counts": runs_of(bitmap)})
    assert (drawn(compressed) == filled(bitmap)).all()


def test_a_square_with_a_hole_and_a_pixel_at_its_corner() -> None:
    bitmap = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], np.uint8)
    mask = read_mask({"size": [4, 4], "counts": runs_of(bitmap)})
    assert mask is not None
    found = {frozenset(zip(p[::2], p[1::2], strict=True)) for p in outlines(mask)}
    assert found == {
        frozenset({(0.0, 0.0), (3.0, 0.0), (3.0, 3.0), (0.0, 3.0)}),
        frozenset({(3.0, 3.0), (4.0, 3.0), (4.0, 4.0), (3.0, 4.0)}),
    }


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"size": [2, 2]},
        {"size": [2, 2], "counts": [0, 5]},
        {"size": [2, 2], "counts": [4, -1, 1]},
        {"size": [2, 2], "counts": [True, 3]},
        {"size": [2, 2], "counts": [1.0, 3]},
        {"size": [0, 2], "counts": []},
        {"size": [10**9, 1], "counts": [10**9]},
        {"size": [2], "counts": [2]},
        {"size": [2, 2], "counts": "\x7f"},
        {"size": [2, 2], "counts": "o" * 100},
        {"size": [2, 2], "counts": "o"},
        {"size": [2, 2], "counts": "\U0001f600"},
        {"size": [2, 2], "counts": None},
    ],
)
def test_what_is_no_mask(value: dict[str, Any]) -> None:
    assert read_mask(value) is None


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=20), st.integers(0, 9), st.integers(0, 9))
def test_any_text_is_a_mask_of_its_size_or_none(text: str, height: int, width: int) -> None:
    mask = read_mask({"size": [height, width], "counts": text})
    if mask is not None:
        assert all(0 <= start < end <= height * width for start, end in mask.runs)
        outlines(mask)


def test_the_size_that_a_mask_declares_costs_nothing() -> None:
    mask = read_mask({"size": [999_999, 999_999], "counts": [1, 999_999**2 - 2, 1]})
    assert mask is not None
    [outline] = outlines(mask)
    assert len(outline) == 2 * 8
    assert quickest(lambda: outlines(mask), 0.5) < 0.5


def test_a_mask_of_many_parts_takes_time_by_their_number() -> None:
    """Nine times as many take about nine times as long, and not eighty-one times."""

    def seconds(side: int, enough: float) -> float:
        mask = read_mask({"size": [side, side], "counts": [1] * side**2})
        assert mask is not None
        assert len(outlines(mask)) == side**2 // 2
        return quickest(lambda: outlines(mask), enough)

    few = max(seconds(67, 0), 0.01)
    assert seconds(201, 12 * few) < 24 * few
