"""How tests read label files, and spoil them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from services.labels.formats import open_labels
from services.labels.options import DEFAULT, Options
from services.labels.problems import CODES
from services.labels.record import ImageRecord, RawLabel, Reading
from services.state import Problem


def in_chunks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def read(
    data: bytes, *, cut: int = 7, expect: str = "", limit: int = 1 << 30, options: Options = DEFAULT
) -> list[Reading]:
    """Everything that comes of a file, read as the app reads it; `expect` is the format that must be recognised."""
    opened = open_labels("labels/x", len(data), limit, in_chunks(data, cut), options)
    assert not expect or opened.format == expect
    return list(opened.readings)


def records(found: list[Reading]) -> list[ImageRecord]:
    return [f for f in found if isinstance(f, ImageRecord)]


def problems(found: list[Reading]) -> list[tuple[str, str]]:
    """Codes and places."""
    return [(f.code, f.place) for f in found if isinstance(f, Problem)]


def only_problem(found: list[Reading]) -> Problem:
    (problem,) = (each for each in found if isinstance(each, Problem))
    return problem


def labels(found: list[Reading]) -> list[RawLabel]:
    return [label for record in records(found) for label in record.labels]


def sane(found: list[Reading]) -> None:
    """Only what is documented: records with usable names, and problems of known codes that explain themselves."""
    for each in found:
        if isinstance(each, Problem):
            assert each.code in CODES
            assert each.model_dump_json()
            assert each.expected
        else:
            assert all(label.label for label in each.labels)
            assert all(label.box for label in each.labels if label.polygons)
            assert json.dumps([each.image, each.place])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def loosely(value: Any) -> st.SearchStrategy[Any]:
    """Documents like this one in which anything may be missing, something else, or there twice."""
    other = json_values
    if isinstance(value, dict):
        known = {name: loosely(member) for name, member in value.items()}
        return st.fixed_dictionaries({}, optional=known) | other
    if isinstance(value, list) and value:
        return st.lists(st.one_of([loosely(element) for element in value]), max_size=4) | other
    return st.just(value) | other


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The same file with some bytes changed, added or cut out."""
    text = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 20))] = draw(st.binary(max_size=8))
    return bytes(text)
