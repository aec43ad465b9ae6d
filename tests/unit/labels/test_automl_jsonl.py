from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labels import lines as lines_module
from services.labels.lines import lines
from services.labels.record import ImageRecord, RawLabel, Reading
from tests.support.label_documents import AUTOML, SAMPLES
from tests.support.label_files import damaged, in_chunks, labels, loosely, problems, read, records, sane

URL = "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/d/paths/belt/c.jpg"


def one(label: Any, **more: Any) -> list[Reading]:
    return read(json.dumps({"image_url": URL, "label": label} | more).encode(), expect="automl-jsonl")


def test_boxes_in_shares_with_sizes_as_texts_or_numbers_and_a_negative() -> None:
    nut = RawLabel("nut", (0.25, 0.5, 0.75, 1.0), "line 1, label[0]", shares=True)
    bolt = RawLabel("bolt", (0, 0, 0.125, 0.25), "line 1, label[1]", is_crowd=True, shares=True)
    assert read(SAMPLES["automl-jsonl"]) == [
        ImageRecord("belt/a.jpg", "line 1", (nut, bolt), 640, 480),
        ImageRecord("belt/b.jpg", "line 2", (), 640, 480),
    ]


def test_classes() -> None:
    assert labels(one("nut")) == [RawLabel("nut", None, "line 1, label[0]")]
    assert [label.label for label in labels(one(["nut", "bolt"]))] == ["nut", "bolt"]


def test_polygons_have_the_box_around_all_their_parts() -> None:
    parts = [[0.5, 0.25, 0.75, 0.5, 0.5, 0.75], [0.0, 0.5, 0.25, 0.5, 0.125, 0.625]]
    (found,) = labels(one([{"label": "nut", "isCrowd": "true", "polygon": parts}]))
    assert found.box == (0.0, 0.25, 0.75, 0.75)
    assert found.polygons == tuple(map(tuple, parts))
    assert (found.shares, found.is_crowd) == (True, True)


@pytest.mark.parametrize(
    ("url", "image"),
    [
        (URL, "belt/c.jpg"),
        ("azureml://datastores/d/paths/100%25 a.jpg", "100% a.jpg"),
        ("AmlDatastore://belt/c.jpg", "belt/c.jpg"),
        ("https://a.blob.core.windows.net/data/belt/c%20d.jpg?sv=1&sig=x", "data/belt/c d.jpg"),
        ("azure-blob://data/belt/c.jpg", "data/belt/c.jpg"),
        ("./belt/c.jpg", "./belt/c.jpg"),
        ("100% a.jpg", "100% a.jpg"),
    ],
)
def test_the_image_is_named_by_path(url: str, image: str) -> None:
    assert [r.image for r in records(one("nut", image_url=url))] == [image]


@pytest.mark.parametrize("url", [None, 3, "", "azureml://datastores/d/paths/", "https://[x", "a\nb.jpg", "x" * 5000])
def test_a_line_without_image_is_left_out(url: Any) -> None:
    assert problems(one("nut", image_url=url)) == [("automl-structure", "line 1")]


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"label": "nut"}, "box-invalid"),
        ({"label": "nut", "topX": 0, "topY": 0, "bottomX": 1}, "box-invalid"),
        ({"label": "nut", "topX": "0", "topY": 0, "bottomX": 1, "bottomY": 1}, "box-invalid"),
        ({"label": "nut", "topX": 10**400, "topY": 0, "bottomX": 1, "bottomY": 1}, "box-invalid"),
        ({"label": "nut", "polygon": []}, "polygon-invalid"),
        ({"label": "nut", "polygon": [0, 0, 1, 1, 0, 1]}, "polygon-invalid"),
        ({"label": "nut", "polygon": [[]]}, "polygon-invalid"),
        ({"label": "nut", "polygon": [[0, "a"]]}, "polygon-invalid"),
        ({"topX": 0, "topY": 0, "bottomX": 1, "bottomY": 1}, "class-invalid"),
        (7, "class-invalid"),
        ("", "class-invalid"),
    ],
)
def test_one_bad_object_is_quarantined_and_the_rest_kept(entry: Any, code: str) -> None:
    found = one([entry, *AUTOML[0]["label"]])
    assert problems(found) == [(code, "line 1, label[0]")]
    assert [(len(r.labels), r.broken) for r in records(found)] == [(2, 1)]


@pytest.mark.parametrize("label", [None, 7, {"label": "nut"}])
def test_a_line_without_label_is_no_negative(label: Any) -> None:
    assert problems(one(label)) == [("automl-structure", "line 1")]
    assert records(one(label)) == []


@pytest.mark.parametrize(
    "bad", ["{", '{"image_url": NaN}', "[" * 100_000, "\x80", "not json", "{} {}", '{"a": 1e}', '"\\ud800']
)
def test_a_bad_line_is_left_out_with_its_number_and_the_others_kept(bad: str) -> None:
    first, second = map(json.dumps, AUTOML)
    found = read(f"{first}\r\n\r\n".encode() + bad.encode("latin-1") + f"\n{second}".encode(), cut=1000)
    assert problems(found) == [("json-invalid", "line 3")]
    assert [(r.image, r.place) for r in records(found)] == [("belt/a.jpg", "line 1"), ("belt/b.jpg", "line 4")]


def test_a_last_line_that_is_cut_off_is_told() -> None:
    assert problems(read(SAMPLES["automl-jsonl"][:-3])) == [("json-invalid", "line 2")]


def test_a_line_that_is_too_long_is_left_out_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MOST_LINE", 400)
    second = json.dumps(AUTOML[1])
    long = json.dumps(AUTOML[0] | {"note": "x" * 1000})
    found = read(f"{second}\n{long}\n{second}".encode())
    assert problems(found) == [("json-invalid", "line 2")]
    assert len(records(found)) == 2
    assert problems(read(f"{second}\n{long}".encode())) == [("json-invalid", "line 2")]


@given(st.binary(max_size=40).map(lambda b: b.replace(b"x", b"\n")), st.integers(1, 5))
def test_lines_are_those_of_split(data: bytes, size: int) -> None:
    expected = data.split(b"\n")
    found = list(lines(in_chunks(data, size)))
    assert found == list(enumerate(expected if expected[-1] else expected[:-1], 1))


@given(st.lists(loosely(AUTOML[0]), min_size=1, max_size=3))
def test_any_json_gives_records_and_known_problems_only(documents: list[Any]) -> None:
    start = b'{"image_url": "a.jpg", "label": "nut"}\n'
    sane(read(start + "\n".join(map(json.dumps, documents)).encode(), cut=100, expect="automl-jsonl"))


@given(damaged(SAMPLES["automl-jsonl"]))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data, cut=100))
