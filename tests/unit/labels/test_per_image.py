from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labels.label_file import LabelFile, LabelledObject, schema
from services.labels.record import ImageRecord, RawLabel, Reading
from tests.support.label_documents import PER_IMAGE, SAMPLES
from tests.support.label_files import damaged, labels, loosely, problems, read, records, sane

SCHEMA = Path(__file__).parents[3] / "docs" / "label.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def file(**members: Any) -> list[Reading]:
    return read(json.dumps({"visionloop": 1} | members).encode(), expect="visionloop")


def test_the_schema_in_docs_is_that_of_the_code() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), (
        "python -m services.labels.label_file > docs/label.schema.json"
    )
    VALIDATOR.check_schema(VALIDATOR.schema)


def test_boxes_outlines_and_classes() -> None:
    parts = ((1, 2, 3, 4, 5, 1), (10, 10, 20, 10, 15, 20.5))
    nut = RawLabel("nut", (10, 20, 30.5, 40), "labels[0]", is_crowd=True)
    bolt = RawLabel("bolt", (1, 1, 20, 20.5), "labels[1]", polygons=parts)
    rusty = RawLabel("rusty", None, "labels[2]")
    assert read(SAMPLES["visionloop"]) == [ImageRecord("belt/a.jpg", "labels", (nut, bolt, rusty), 64, 48)]


def test_shares() -> None:
    (found,) = labels(file(unit="shares", labels=[{"label": "nut", "box": [0, 0.25, 0.5, 1]}]))
    assert (found.box, found.shares) == ((0, 0.25, 0.5, 1), True)


def test_a_negative_has_to_be_said() -> None:
    assert file(negative=True) == [ImageRecord("", "labels")]
    labelled = {"negative": True, "labels": [{"label": "nut"}]}
    found: list[dict[str, Any]] = [{}, {"labels": []}, {"negative": False}, labelled]
    for silent in found:
        assert problems(file(**silent)) == [("label-structure", "")]


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"visionloop": 2, "negative": True}, "visionloop"),
        ({"negative": 1}, "negative"),
        ({"lables": [], "negative": True}, "lables"),
        ({"labels": {}}, "labels"),
        ({"labels": [{"label": "nut"}], "width": 0}, "width"),
        ({"labels": [{"label": "nut"}], "height": "48"}, "height"),
        ({"labels": [{"label": "nut"}], "unit": "percent"}, "unit"),
        ({"labels": [{"label": "nut"}], "image": "a\u202e.jpg"}, "image"),
        ({"labels": [{"label": "nut"}], "source": "x" * 1025}, "source"),
    ],
)
def test_a_file_that_is_not_as_the_schema_says_is_refused_as_a_whole(members: dict[str, Any], place: str) -> None:
    assert problems(file(**members)) == [("label-structure", place)]
    assert records(file(**members)) == []


@pytest.mark.parametrize(
    ("bad", "code", "place"),
    [
        (7, "label-structure", "labels[0]"),
        ({}, "class-invalid", "labels[0].label"),
        ({"label": " "}, "class-invalid", "labels[0].label"),
        ({"label": "a\nb"}, "class-invalid", "labels[0].label"),
        ({"label": "nut", "bbox": [1, 2, 3, 4]}, "label-structure", "labels[0].bbox"),
        ({"label": "nut", "box": [1, 2, 3]}, "box-invalid", "labels[0].box"),
        ({"label": "nut", "box": [1, 2, 3, "4"]}, "box-invalid", "labels[0].box[3]"),
        ({"label": "nut", "box": [1, 2, 3, True]}, "box-invalid", "labels[0].box[3]"),
        ({"label": "nut", "box": [1, 2, 3, 1e10]}, "box-invalid", "labels[0].box[3]"),
        ({"label": "nut", "polygon": []}, "polygon-invalid", "labels[0].polygon"),
        ({"label": "nut", "polygon": [[1, 2, 3, 4]]}, "polygon-invalid", "labels[0].polygon[0]"),
        ({"label": "nut", "polygon": [[1, 2, 3, 4, 5, 6, 7]]}, "polygon-invalid", "labels[0].polygon[0]"),
        ({"label": "nut", "polygon": [1, 2, 3, 4, 5, 6]}, "polygon-invalid", "labels[0].polygon[0]"),
        ({"label": "nut", "box": [1, 2, 3, 4], "polygon": [[1, 2, 3, 4, 5, 6]]}, "label-structure", "labels[0]"),
    ],
)
def test_one_bad_label_is_quarantined_and_the_rest_kept(bad: Any, code: str, place: str) -> None:
    found = file(labels=[bad, {"label": "nut", "box": [1, 2, 3, 4]}])
    assert problems(found) == [(code, place)]
    assert [(r.broken, [label.place for label in r.labels]) for r in records(found)] == [(1, ["labels[1]"])]


@pytest.mark.parametrize("data", [b'{"visionloop": 1', b'{"visionloop": 1, "labels": [NaN]}', b'{"visionloop": 1} 2'])
def test_what_is_no_json_is_told(data: bytes) -> None:
    assert [code for code, _ in problems(read(data))] == ["json-invalid"]


numbers = st.integers(-5, 70) | st.floats(-1e9, 1e9)
objects = st.builds(
    LabelledObject,
    label=st.sampled_from(["nut", "bolt", "schön"]),
    box=st.none() | st.lists(numbers, min_size=4, max_size=4),
    crowd=st.booleans(),
) | st.builds(
    LabelledObject,
    label=st.just("nut"),
    polygon=st.lists(
        st.lists(st.tuples(numbers, numbers), min_size=3, max_size=4).map(lambda p: [*sum(p, ())]),
        min_size=1,
        max_size=2,
    ),
)
files = st.builds(
    LabelFile,
    visionloop=st.just(1),
    labels=st.lists(objects, min_size=1, max_size=4),
    unit=st.sampled_from(["pixels", "shares"]),
    width=st.none() | st.integers(1, 999_999),
)


@given(files)
def test_what_is_written_holds_to_the_schema_and_is_read_as_it_was(written: LabelFile) -> None:
    VALIDATOR.validate(json.loads(written.to_json()))
    found = read(written.to_json(), cut=1000, expect="visionloop")
    assert problems(found) == []
    (record,) = records(found)
    assert record.width == (written.width or 0)
    for label, said in zip(record.labels, written.labels, strict=True):
        assert (label.label, label.is_crowd, label.shares) == (said.label, said.crowd, written.unit == "shares")
        assert [*map(list, label.polygons)] == (said.polygon or [])
        assert said.box is None or label.box == tuple(said.box)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in {"yolo", "csv"}])
def test_what_any_other_format_says_can_be_written_in_ours(name: str) -> None:
    for record in records(read(SAMPLES[name])):
        (again,) = records(read(LabelFile.of(record, source=name).to_json(), expect="visionloop"))
        places = [label.place for label in again.labels]
        said = tuple(replace(label, place=place) for label, place in zip(record.labels, places, strict=True))
        assert again == replace(record, place="labels", labels=said)


def test_units_are_not_mixed() -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    record = ImageRecord("a.jpg", "", (RawLabel("nut", box, ""), RawLabel("nut", box, "", shares=True)))
    with pytest.raises(ValueError, match="pixels and in shares"):
        LabelFile.of(record)


@given(loosely(PER_IMAGE))
def test_the_reader_refuses_what_the_schema_refuses(document: Any) -> None:
    found = read(json.dumps(document).encode(), cut=1000)
    sane(found)
    if not VALIDATOR.is_valid(document):
        assert problems(found) != []


@given(damaged(SAMPLES["visionloop"]))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data, cut=1000))
