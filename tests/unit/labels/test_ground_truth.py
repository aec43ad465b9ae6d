from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue.paths import kind_of
from services.labels.record import ImageRecord, RawLabel, Reading
from tests.support.label_documents import GROUND_TRUTH, SAMPLES
from tests.support.label_files import damaged, labels, loosely, problems, read, records, sane

BOXES, SORT, PARTS = GROUND_TRUTH
IMAGE = {"source-ref": "s3://bucket/a.jpg"}


def one(content: Any) -> list[Reading]:
    """A line after one that is known, which tells the format."""
    _, *found = read(f"{json.dumps(SORT)}\n{json.dumps(content)}".encode(), expect="ground-truth")
    return found


def boxes(annotations: Any, **metadata: Any) -> dict[str, Any]:
    value = BOXES["belt-boxes"] | {"annotations": annotations}
    return IMAGE | {"belt": value, "belt-metadata": BOXES["belt-boxes-metadata"] | metadata}


def test_boxes_and_classes() -> None:
    nut = RawLabel("nut", (10, 20, 210, 170), "line 1, belt-boxes.annotations[0]")
    bolt = RawLabel("bolt", (300, 40, 330, 60), "line 1, belt-boxes.annotations[1]")
    parts = RawLabel("bolt", None, "line 3, parts[0]"), RawLabel("nut", None, "line 3, parts[1]")
    assert read(SAMPLES["ground-truth"]) == [
        ImageRecord("bucket/belt/a.jpg", "line 1", (nut, bolt), 640, 480),
        ImageRecord("bucket/belt/b.jpg", "line 2", (RawLabel("bolt", None, "line 2, sort"),)),
        ImageRecord("bucket/belt/c.jpg", "line 3", parts),
    ]


def test_the_file_is_looked_into_under_the_name_that_the_job_gives_it() -> None:
    assert kind_of("labels/manifests/output/output.manifest", 9) == "label"


def test_of_boxes_those_that_were_drawn_last_count_wherever_they_stand() -> None:
    later = {"annotations": [{"class_id": 1, "left": 0, "top": 0, "width": 5, "height": 5}]}
    data = BOXES["belt-boxes-metadata"] | {
        "creation-date": "2026-04-01T00:00:00.000001",
        "adjustment-status": "adjusted",
    }
    adjusted = {"source-ref": "a.jpg", "adjusted": later, "adjusted-metadata": data, **BOXES}
    assert [(found.label, found.box) for found in labels(one(adjusted))] == [("bolt", (0, 0, 5, 5))]


def test_classes_of_several_jobs_add_up_beside_boxes() -> None:
    both = (
        BOXES
        | {"sort": 1, "sort-metadata": SORT["sort-metadata"]}
        | {"parts": [0], "parts-metadata": PARTS["parts-metadata"]}
    )
    assert [(found.label, found.box is None) for found in labels(one(both))] == [
        ("nut", False), ("bolt", False), ("bolt", True), ("nut", True)
    ]  # fmt: skip


def test_a_class_without_its_name_is_that_of_its_number() -> None:
    data = {"type": "groundtruth/image-classification", "class-map": {"7": "nut"}}
    assert [found.label for found in labels(one(IMAGE | {"sort": 7, "sort-metadata": data}))] == ["nut"]


def test_nothing_in_an_image_is_said_by_lists_of_nothing() -> None:
    assert one(boxes([])) == [ImageRecord("bucket/a.jpg", "line 2", (), 640, 480)]
    assert one(IMAGE | {"parts": [], "parts-metadata": PARTS["parts-metadata"]}) == [
        ImageRecord("bucket/a.jpg", "line 2", ())
    ]


def test_an_image_of_which_the_job_failed_or_that_was_only_judged_is_unlabelled() -> None:
    assert one(IMAGE | {"belt-metadata": {"failure-reason": "ClientError", "job-name": "belt"}}) == []
    assert (
        one(IMAGE | {"check": 1, "check-metadata": {"type": "groundtruth/label-verification", "class-name": "good"}})
        == []
    )


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (7, "ground-truth-structure", "line 2"),
        ({"source-ref": 7}, "ground-truth-structure", "line 2"),
        (IMAGE, "ground-truth-structure", "line 2"),
        (IMAGE | {"boxes-metadata": 7}, "ground-truth-structure", "line 2"),
        (boxes(None), "ground-truth-structure", "line 2, belt.annotations"),
        (boxes([7]), "class-invalid", "line 2, belt.annotations[0]"),
        (boxes([{"class_id": 2, "left": 1, "top": 1, "width": 1, "height": 1}]), "class-invalid", "line 2, belt.annotations[0]"),
        (boxes([{"class_id": 0, "left": 1, "top": 1, "width": 1}]), "box-invalid", "line 2, belt.annotations[0]"),
        (boxes([{"class_id": 0, "left": 1, "top": 1, "width": 1, "height": "1"}]), "box-invalid", "line 2, belt.annotations[0]"),
        (boxes([{"class_id": 0}], **{"class-map": None}), "class-invalid", "line 2, belt.annotations[0]"),
        (boxes([], type="groundtruth/semantic-segmentation"), "shape-unsupported", "line 2, belt"),
        (IMAGE | {"p": 7, "p-metadata": PARTS["parts-metadata"]}, "ground-truth-structure", "line 2, p"),
        (IMAGE | {"p": [[]], "p-metadata": PARTS["parts-metadata"]}, "class-invalid", "line 2, p[0]"),
        (IMAGE | {"s": 1, "s-metadata": {"type": "groundtruth/image-classification"}}, "class-invalid", "line 2, s"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_where_it_is_and_makes_no_negative(content: Any, code: str, place: str) -> None:
    found = one(content)
    assert problems(found) == [(code, place)]
    assert all(record.broken == 1 and not record.labels for record in records(found))


def test_one_bad_box_leaves_the_others() -> None:
    found = one(boxes([{"class_id": 9}, BOXES["belt-boxes"]["annotations"][0]]))
    assert [label.label for label in labels(found)] == ["nut"]
    assert [record.broken for record in records(found)] == [1]


def test_a_bad_line_is_left_out_with_its_number() -> None:
    found = read(f"{json.dumps(SORT)}\n{{\n{json.dumps(PARTS)}".encode())
    assert problems(found) == [("json-invalid", "line 2")]
    assert [record.place for record in records(found)] == ["line 1", "line 3"]


@given(st.lists(st.one_of([loosely(line) for line in GROUND_TRUTH]), min_size=1, max_size=3))
def test_any_json_gives_records_and_known_problems_only(documents: list[Any]) -> None:
    start = json.dumps(SORT)
    sane(read("\n".join([start, *map(json.dumps, documents)]).encode(), cut=100, expect="ground-truth"))


@given(damaged(SAMPLES["ground-truth"]))
def test_any_change_of_a_file_gives_records_and_known_problems_only(data: bytes) -> None:
    sane(read(data, cut=100))
