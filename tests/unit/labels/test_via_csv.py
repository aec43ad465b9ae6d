from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given

from services.labels import via_csv
from services.labels.record import ImageRecord, RawLabel, Reading
from tests.support.label_documents import SAMPLES
from tests.support.label_files import damaged, labels, problems, read, records, sane

NAMES = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
RECT = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}
NUT = {"part": "nut"}


def row(image: str, shape: Any = RECT, attributes: Any = NUT, about: Any = None) -> str:
    out = io.StringIO()
    said = (value if isinstance(value, str) else json.dumps(value) for value in (shape, attributes))
    csv.writer(out).writerow((image, 9, json.dumps(about or {}), 1, 0, *said))
    return out.getvalue()


def table(*rows: str, header: str = NAMES) -> list[Reading]:
    return read("".join([header, "\n", *rows]).encode(), expect="via-csv")


def test_the_regions_of_an_image_come_together() -> None:
    nut, bolt = labels(read(SAMPLES["via-csv"]))
    assert nut == RawLabel("nut", (10, 20, 30, 35), "line 2")
    assert (bolt.label, bolt.place, bolt.box) == ("bolt", "line 3", pytest.approx((15, 15, 25, 25)))
    assert [(record.image, record.place) for record in records(read(SAMPLES["via-csv"]))] == [("a.jpg", "line 2")]


def test_older_versions_named_the_first_column_otherwise_and_spreadsheets_write_utf_16() -> None:
    box = (1, 2, 4, 6)
    assert [label.box for label in labels(table(row("a.jpg"), header=f"#{NAMES}"))] == [box]
    assert [label.box for label in labels(read(f"{NAMES}\n{row('a.jpg')}".encode("utf-16"), expect="via-csv"))] == [box]


def test_attributes_of_the_file_are_classes_of_the_image() -> None:
    found = table(row("a.jpg", {}, {}, {"class": "rusty"}))
    assert found == [ImageRecord("a.jpg", "line 2", (RawLabel("rusty", None, "line 2"),))]


def test_an_image_without_regions_and_class_stays_unlabelled() -> None:
    assert table(row("a.jpg", {}, {})) == []


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (row("a.jpg", "{"), "shape-unsupported"),
        (row("a.jpg", RECT, "{"), "class-invalid"),
        (row("a.jpg", RECT, {}), "class-invalid"),
        ('a.jpg,9,"{}\n', "csv-line-invalid"),
        ("a.jpg,9,{},1\n", "csv-line-invalid"),
        ("\udcff,9,{},1,0,{},{}\n", "csv-line-invalid"),
        (row(""), "via-structure"),
    ],
)
def test_a_bad_line_is_told_and_the_others_are_kept(bad: str, code: str) -> None:
    data = f"{NAMES}\n{row('a.jpg')}{bad}\n{row('b.jpg')}".encode("utf-8", "surrogateescape")
    found = read(data, expect="via-csv")
    assert problems(found) == [(code, "line 3")]
    assert [label.label for label in labels(found)] == ["nut", "nut"]


def test_a_region_that_is_left_out_makes_no_negative() -> None:
    assert [(record.labels, record.broken) for record in records(table(row("a.jpg", {"name": "point"})))] == [((), 1)]


def test_lines_of_an_image_that_stand_apart_are_told() -> None:
    found = table(row("a.jpg"), row("b.jpg"), row("a.jpg"))
    assert problems(found) == [("csv-line-invalid", "line 4")]
    assert [record.image for record in records(found)] == ["a.jpg", "b.jpg"]


def test_more_of_an_image_than_can_be_held_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(via_csv, "MOST_LINE", 100)
    found = table(*(row("a.jpg") for _ in range(4)), row("b.jpg"))
    assert [code for code, _ in problems(found)] == ["csv-line-invalid"]
    assert [(record.image, len(record.labels)) for record in records(found)] == [("a.jpg", 2), ("b.jpg", 1)]


@given(damaged(SAMPLES["via-csv"]))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data, cut=100))
