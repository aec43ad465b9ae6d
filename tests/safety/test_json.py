"""JSON as it should not be: every line of the table goes through the stream and, as part of a file, through a reader."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from services.errors import BadRequest
from services.labels.coco import CocoReader
from services.labels.json_stream import JsonError, members
from services.labels.problems import CODES
from services.labels.record import ImageRecord
from services.state import Problem
from services.wake import read_wake

REFUSED_VALUES = [
    # numbers that JSON does not have
    "NaN", "Infinity", "-Infinity", "-NaN", "+1", ".5", "1.", "1.e1", "-.5", "- 1", "01", "-01", "0x10", "0b1", "1_000",
    "1e", "1e+", "1E-", "1e1.5", "--1", "1-2", "٣", "1 000", "$1", "0.1.2", "0e", "2.e+3", "1eE2", "\uff19",
    # words
    "nul", "True", "FALSE", "None", "undefined", "nulll", "truefalse", "TRUE", "nan", "yes",
    # texts
    '"', "'a'", '"a', 'a"', '"\\x"', '"\\u12"', '"\\u123g"', '"\\', '"\\a"', '"\t"', '"\n"', '"\x00"', '"\x1f"', '""a', '"a" "b"',
    '"\\uD83D\\u"', "\\u0061",
    # lists and objects
    "[", "]", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1 2]", "[1}", "[1;2]", "{", "}", "{]", '{"a"}', '{"a":}', '{"a" 1}',
    '{"a"::1}', '{"a":1,}', "{a:1}", "{1:1}", "{'a':1}", '{"a":1,,"b":2}', '{"a":1 "b":2}', '{,"a":1}', "[1,,2]", '{"a":1]',
    "/* c */ 1", "1 // c", "# c", "", "<a/>", "&amp;", "[*]", "...",
    "[" * 100_000, '{"a":' * 100_000, "[" * 5_000 + "]" * 5_000, "[" * 210 + "]" * 210, '{"a":' * 210 + "1" + "}" * 210, "9" * 5_000,
]  # fmt: skip
TAKEN_VALUES = [
    "0", "-0", "-0.0", "1e9", "1E+2", "1e-400", "123456789012345678901234567890", "0.1e1", "true", "false", "null", '""',
    '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\/"', '"\u2028"', '"\x7f"', '"\ufeff"', '"\ufffe"',
    "[]", "{}", "[[]]", '[{"a":[]}]', " 1 ", "\t[\n]\r", '{"a":1,"a":2}', '{"":0}', '{"\\u0061":1,"a":2}', "[" * 50 + "]" * 50,
    "1e400", "-1e9999",
]  # fmt: skip
REFUSED_FILES = [
    b"", b" ", b"[]", b"1", b'"a"', b"null", b'{"a":1}{"b":2}', b'{"a":1} x', b'{"a":1}\x00', b"\xef\xbb\xbf", b"\xff\xfe{\x00}\x00",
    b"\xfe\xff\x00{\x00}", b'{"a":"\xff"}', b'{"a":"\xc0\x80"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf4\x90\x80\x80"}', b'{"\xe9":1}',
    b'\xef\xbb\xbf\xef\xbb\xbf{"a":1}', b"\x00{}", b'{"a":1}}', b"{{}}", b"({})", b'a({"b":1})', b'{"a":"\xe2\x82"}',
    b'{"a":1},', b'\x1b[31m{"a":1}', b"\r\n\r\n", b"{" * 100_000,
]  # fmt: skip
TAKEN_FILES = [b"{}", b" {} ", b'\xef\xbb\xbf{"a":1}', b'{"a":1}\n\n\t', b'\r\n{"a" : 1 , "b" : [ ] }']


IN_LIST = '{{"a": [{{"b": 1}}, {{"c": {}}}, {{"d": 3}}, {{"e": 4}}]}}'
"""Lists of objects are decoded many at once, by another decoder."""


def pieces(data: bytes, step: int) -> Iterator[bytes]:
    return (data[start : start + step] for start in range(0, len(data), step))


def streamed(data: bytes) -> list[object]:
    step = 1 if len(data) < 200 else 65536
    return [value for _, _, value in members(pieces(data, step))]


@pytest.mark.parametrize("place", ['{{"a": {}}}', '{{"a": [1, {}]}}', '{{"a": 1, "b": {{"c": {}}}}}', IN_LIST])
@pytest.mark.parametrize("value", REFUSED_VALUES, ids=lambda value: ascii(value[:12]))
def test_refused_wherever_it_stands(value: str, place: str) -> None:
    with pytest.raises(JsonError) as error:
        streamed(place.format(value).encode())
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("value", TAKEN_VALUES, ids=lambda value: ascii(value[:12]))
def test_taken_as_the_standard_library_takes_it(value: str) -> None:
    found = streamed(f'{{"a": {value}, "b": [0, {value}]}}'.encode())
    assert found[-1] == json.loads(value)
    assert streamed(IN_LIST.format(value).encode())[2] == {"c": json.loads(value)}


@pytest.mark.parametrize("data", REFUSED_FILES, ids=lambda data: ascii(data[:12]))
def test_no_file_of_this_kind(data: bytes) -> None:
    with pytest.raises(JsonError):
        streamed(data)


@pytest.mark.parametrize("data", TAKEN_FILES, ids=lambda data: ascii(data[:12]))
def test_a_file_of_this_kind(data: bytes) -> None:
    streamed(data)


def test_the_table_is_no_small_one() -> None:
    assert len(REFUSED_VALUES) + len(TAKEN_VALUES) + len(REFUSED_FILES) + len(TAKEN_FILES) >= 140


COCO = """{{
"images": [{{"id": {id}, "file_name": {file}, "width": {size}, "height": 9}}, {{"id": 8, "file_name": "b.jpg"}}, {{}}],
"annotations": [{{"image_id": {id}, "category_id": 2, "bbox": [{number}, 1, 2, 3]}}, {{"image_id": 8}}, {{}}, {{}}],
"categories": [{{"id": 2, "name": {name}}}, {{"id": {id}, "name": "bolt"}}, {{}}]
}}"""
GOOD = {"id": "1", "file": '"a.jpg"', "size": "9", "number": "1", "name": '"nut"'}


@pytest.mark.parametrize("field", GOOD)
@pytest.mark.parametrize("value", [*REFUSED_VALUES, *TAKEN_VALUES], ids=lambda value: ascii(value[:12]))
def test_in_a_label_file_it_is_a_problem_or_a_safe_value(value: str, field: str) -> None:
    found = list(CocoReader().read("labels/x.json", pieces(COCO.format(**(GOOD | {field: value})).encode(), 65536)))
    codes = [f.code for f in found if isinstance(f, Problem)]
    assert set(codes) <= CODES.keys()
    if value in REFUSED_VALUES:
        assert codes.count("json-invalid") == 1
        assert not any(isinstance(f, ImageRecord) for f in found), "nothing of a broken file is taken"


@pytest.mark.parametrize("value", [*REFUSED_VALUES, *TAKEN_VALUES], ids=lambda value: ascii(value[:12]))
def test_in_a_message_of_the_queue_it_is_refused_or_a_text(value: str) -> None:
    for body in (value, f'{{"loop": {value}}}', f'{{"loop": "cards", "reason": {value}}}'):
        try:
            found = read_wake(body)
        except BadRequest:
            continue
        assert found.loop == "cards"
        assert isinstance(found.reason, str)


def test_keys_that_come_twice() -> None:
    """The last one of an object counts, as in every JSON library; a list that comes twice is read twice."""
    image = '{"id": 1, "id": 2, "file_name": "a.jpg"}'
    text = f'{{"images": [{image}], "images": [{{"id": 1, "file_name": "b.jpg"}}], "annotations": [{{"image_id": 2, "category_id": 3, "bbox": [1, 2, 3, 4]}}], "categories": [{{"id": 3, "name": "nut"}}]}}'
    found = list(CocoReader().read("labels/x.json", iter([text.encode()])))
    assert sorted((f.image, len(f.labels)) for f in found if isinstance(f, ImageRecord)) == [("a.jpg", 1), ("b.jpg", 0)]
