from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labels import json_stream
from services.labels.json_stream import JsonError, members

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def in_chunks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def expected(document: dict[str, Any]) -> list[tuple[str, int, Any]]:
    found: list[tuple[str, int, Any]] = []
    for name, value in document.items():
        found.append((name, -1, None if isinstance(value, list) else value))
        found += [(name, i, v) for i, v in enumerate(value)] if isinstance(value, list) else []
    return found


@given(st.dictionaries(st.text(), values, max_size=5), st.integers(1, 9), st.booleans(), st.sampled_from([None, 2]))
def test_reads_what_json_reads_however_it_is_cut(
    document: dict[str, Any], size: int, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    document = json.loads(text)
    data = text.encode("utf-8", "surrogatepass")
    try:
        data.decode()
    except UnicodeDecodeError:
        return
    assert list(members(in_chunks(data, size))) == expected(document)


@given(st.binary(max_size=80) | st.text('{}[]":,0.e-ntfu \\', max_size=40).map(str.encode), st.integers(1, 5))
def test_only_its_own_error_comes_out(data: bytes, size: int) -> None:
    with contextlib.suppress(JsonError):
        list(members(in_chunks(data, size)))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "start"),
        ("[]", "start"),
        ("{", "start"),
        ('{"a": [1, 2', "a[1]"),
        ('{"a": [1, NaN]}', "a[1]"),
        ('{"a": Infinity}', "a"),
        ('{"a": [1,]}', "a[1]"),
        ('{"a": 1,}', "a"),
        ('{"a" 1}', "a"),
        ('{"a": 1} {"b": 2}', "end"),
        ("{'a': 1}", "start"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "a[0]"),
        ('{"a": ' + '{"b":' * 100_000 + "1" + "}" * 100_000 + "}", "a"),
        ('{"a": [' + "9" * 5000 + "]}", "a[0]"),
        ('{"a": ["\x01"]}', "a[0]"),
        ('{"a": ["\\x"]}', "a[0]"),
        ('{"a": [01]}', "a[0]"),
    ],
)
def test_names_the_place_of_what_is_no_json(text: str, place: str) -> None:
    with pytest.raises(JsonError) as caught:
        list(members(iter([text.encode()])))
    assert caught.value.place == place


def test_other_bytes_than_utf8_are_refused() -> None:
    with pytest.raises(JsonError, match="UTF-8"):
        list(members(iter([b'{"a": ["', b"\xff", b'"]}'])))


@pytest.mark.parametrize("number", ["0", "-1", "12", "1.5", "1.25e+10", "1E-3", "0e5"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_a_number_is_whole_however_it_is_cut(number: str, size: int) -> None:
    text = f'{{"a": [{number}, {number}], "b": {number}}}'.encode()
    assert [v for _, i, v in members(in_chunks(text, size)) if v is not None] == [float(number)] * 3


def test_a_byte_order_mark_is_fine() -> None:
    assert list(members(iter([b"\xef\xbb", b'\xbf{"a": 1}']))) == [("a", -1, 1)]


def test_an_endless_element_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MOST_ELEMENT", 1000)
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield b'{"a": ["'
        while True:
            read += 1
            yield b"x" * 600

    with pytest.raises(JsonError):
        list(members(endless()))
    assert read < 5


def test_a_large_file_needs_a_small_window() -> None:
    import tracemalloc

    element = json.dumps({"text": "x" * 200}).encode()

    def chunks() -> Iterator[bytes]:
        yield b'{"a": [' + element
        for _ in range(20):
            yield (b"," + element) * 2000
        yield b"]}"

    tracemalloc.start()
    count = sum(1 for _ in members(chunks()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 40_002
    assert peak < 6 * 2**20


objects = st.lists(st.dictionaries(st.sampled_from(["a", "}, {", "\\"]), values, max_size=3), max_size=8)


@given(objects, st.integers(20, 400), st.sampled_from([(", ", ": "), (",", ":"), (" ,\n ", ": ")]))
def test_objects_are_read_at_once_as_they_are_one_by_one(
    listed: list[dict[str, Any]], size: int, separators: tuple[str, str]
) -> None:
    text = json.dumps({"a": listed, "b": [listed]}, separators=separators)
    assert list(members(in_chunks(text.encode(), size))) == expected(json.loads(text))


@pytest.mark.parametrize("wrong", ['{"x": NaN}', '{"x": 1e}', '{"x": "\x01"}', "{'x': 1}", '{"x": 1,}', '{"x": [1}'])
def test_a_broken_object_among_good_ones_has_its_place(wrong: str) -> None:
    good = '{"x": [{"y": 1}, {"y": 2}]}'
    text = f'{{"a": [{", ".join([*[good] * 7, wrong, *[good] * 7])}]}}'
    found: list[Any] = []
    with pytest.raises(JsonError) as caught:
        found.extend(members(iter([text.encode()])))
    assert caught.value.place == "a[7]"
    assert [index for _, index, _ in found] == [-1, *range(7)]
