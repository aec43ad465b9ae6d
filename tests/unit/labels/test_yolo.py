from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labels import yolo
from services.labels.class_lists import read_class_list
from services.labels.formats import open_labels
from services.labels.problems import CODES
from services.labels.record import ImageRecord, RawLabel, Reading
from services.state import Problem

BOX = RawLabel("3", (0.25, 0.25, 0.75, 0.375), "line 1", shares=True)
TRIANGLE = (0.1, 0.1, 0.5, 0.1, 0.5, 0.9)
OUTLINE = RawLabel("0", (0.1, 0.1, 0.5, 0.9), "line 2", polygons=(TRIANGLE,), shares=True)


def read(text: str | bytes, file: str = "labels/a.txt") -> list[Reading]:
    data = text.encode() if isinstance(text, str) else text
    chunks: Iterator[bytes] = (data[i : i + 5] for i in range(0, len(data), 5))
    return list(open_labels(file, len(data), 1 << 30, chunks).readings)


def codes(found: list[Reading]) -> list[str]:
    return [f.code for f in found if isinstance(f, Problem)]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_boxes_and_outlines(newline: str, start: str) -> None:
    lines = ["3 0.5 0.3125 .5 1.25e-1", "0 0.1\t0.1 0.5 0.1  0.5 0.9 "]
    assert read(start + newline.join(lines)) == [ImageRecord("", "", (BOX, OUTLINE), numbered=True)]
    assert read(start + newline.join([*lines, "", ""])) == read(start + newline.join(lines))


@pytest.mark.parametrize("text", ["", "\n", " \r\n\r\n"])
def test_an_empty_text_file_says_that_there_is_nothing(text: str) -> None:
    assert read(text) == [ImageRecord("", "", numbered=True)]
    assert codes(read(text, "labels/a.json")) == ["label-file-unknown"]


def test_a_class_may_be_written_as_a_decimal() -> None:
    [record] = read("3.0 0.5 0.3125 0.5 0.125")
    assert isinstance(record, ImageRecord)
    assert record.labels == (BOX,)


@pytest.mark.parametrize(
    "line",
    [
        "0 0.5 0.5 0.2 0.2 0.9",
        "0 0.1 0.1 0.5 0.1 0.5 0.9 0.77",
        "nut 0.5 0.5 0.2 0.2",
        "0.5 0.5 0.5 0.2 0.2",
        "-1 0.5 0.5 0.2 0.2",
        "0 0.5 0.5 0.2",
        "0 0.5 0.5 0.2 nan",
        "0 0.5 0.5 0.2 1e999",
        "0 1.7e308 0.5 1.7e308 0.2",
        "0 0,5 0,5 0,2 0,2",
        "0 0.5 0.5 0.2 \u0665",
        "\udcff",
    ],
)
def test_one_bad_line_is_quarantined_and_the_rest_kept(line: str) -> None:
    found = read(f"3 0.5 0.3125 0.5 0.125\n{line}\n".encode("utf-8", "surrogateescape"))
    assert codes(found) == ["yolo-line-invalid"]
    problem, record = found
    assert isinstance(problem, Problem)
    assert problem.place == "line 2"
    assert ("predictions" in problem.found) == (line.count(" ") in {5, 7})
    assert record == ImageRecord("", "", (BOX,), broken=1, numbered=True)


def test_a_file_about_one_image_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yolo, "MOST_BYTES", 100)
    assert codes(read("0 0.5 0.5 0.2 0.2\n" * 6)) == ["label-file-too-large"]


@pytest.mark.parametrize(
    "text", ["a word", "1 2 3", "images/train/a.jpg\nimages/train/b", "1,0.5,0.5,0.2,0.2", "1 0.5 0.5 0.2 x"]
)
def test_other_texts_are_not_yolo(text: str) -> None:
    assert codes(read(text)) == ["label-file-unknown"]


@given(st.binary(max_size=60) | st.text("0123456789. e-+\n", max_size=60))
def test_any_file_gives_records_and_known_problems_only(data: bytes | str) -> None:
    for each in yolo.YoloReader().read("x", iter([data.encode() if isinstance(data, str) else data])):
        if isinstance(each, Problem):
            assert each.code in CODES
        else:
            assert all(label.label.isdecimal() and label.box and label.shares for label in each.labels)


NAMES = {0: "nut", 1: "bolt"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels/data.yaml", "names: [nut, bolt]"),
        ("labels/data.yaml", "path: ../x\nnc: 2\nnames:\n  0: nut\n  1: bolt\ndownload: |\n  import [os]\n"),
        ("labels/data.yml", "names: {0: nut, 1: 'bolt'}"),
        ("labels/data.YAML", "names:\n- nut\n- bolt\n"),
        ("labels/classes.txt", "nut\nbolt\n"),
        ("labels/classes.txt", "\ufeffnut\r\n bolt \r\n\r\n"),
        ("labels/obj.names", "nut\nbolt"),
    ],
)
def test_class_lists(file: str, text: str) -> None:
    assert read_class_list(file, text.encode()) == (NAMES, [])


def test_names_are_texts_whatever_yaml_makes_of_them() -> None:
    assert read_class_list("d.yaml", b"names: [no, 007, 1.0, ~]")[0] == {0: "no", 1: "007", 2: "1.0", 3: "~"}
    assert read_class_list("classes.txt", b"nut\n\nbolt") == ({0: "nut", 2: "bolt"}, [])
    names, problems = read_class_list("labels.txt", b"train/0001.jpg 0\n")
    assert (names, [p.code for p in problems]) == ({}, ["class-list-invalid"])


@pytest.mark.parametrize(
    "text",
    [
        b"nc: 2",
        b"names: [nut]\nkpt_shape: [17, 3]",
        b"names: two",
        b"names: [nut",
        b"\xff\xfe",
        b"[" * 3000,
        b"- " * 20_000,
        b"",
        b"names: &a [*a]\n\t",
        b"x" * 70_000,
    ],
)
def test_what_is_no_class_list(text: bytes) -> None:
    names, problems = read_class_list("labels/data.yaml", text)
    assert (names, [p.code for p in problems]) == ({}, ["class-list-invalid"])


@pytest.mark.parametrize("text", [b"names: [nut, [bolt]]", b"names: {0: nut, x: bolt}", b"names: &a [nut, *a]"])
def test_one_bad_name_is_told_and_the_rest_kept(text: bytes) -> None:
    names, problems = read_class_list("labels/data.yaml", text)
    assert names == {0: "nut"}
    assert [(p.code, p.place) for p in problems] == [("class-invalid", "line 1")]


@given(st.binary(max_size=40) | st.text("names:[]{}&*a 0-,\n", max_size=40).map(str.encode))
def test_any_class_list_gives_names_and_known_problems_only(text: bytes) -> None:
    for file in ("d.yaml", "classes.txt"):
        names, problems = read_class_list(file, b"names: " + text)
        assert all(isinstance(n, int) and name for n, name in names.items())
        assert {p.code for p in problems} <= {"class-invalid", "class-list-invalid"}
