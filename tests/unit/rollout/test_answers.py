from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import UpstreamRefused
from services.rollout.answers import Found, pack, read_answer, unpack


def box(left: float, top: float, right: float, bottom: float, label: str = "nut", score: Any = 0.9) -> dict[str, Any]:
    return {"box": {"topX": left, "topY": top, "bottomX": right, "bottomY": bottom}, "label": label, "score": score}


def test_boxes_are_read() -> None:
    found = read_answer("object_detection", {"boxes": [box(0.1, 0.2, 0.3, 0.4)]})
    assert found == [Found("nut", 0.9, (0.1, 0.2, 0.3, 0.4))]


def test_nothing_found_is_an_answer() -> None:
    assert read_answer("object_detection", {"boxes": []}) == []


def test_boxes_over_the_border_are_cut_and_empty_ones_left_out() -> None:
    answer = {"boxes": [box(-0.1, 0.5, 1.2, 2), box(0.5, 0.5, 0.5, 0.9), box(1.1, 0, 1.2, 1)]}
    assert read_answer("object_detection", answer) == [Found("nut", 0.9, (0.0, 0.5, 1.0, 1.0))]


def test_masks_come_with_boxes() -> None:
    one = {**box(0, 0, 1, 1), "polygon": [[0, 0, 1, 1, 0, 1]]}
    outline = (0.0, 0.0, 1.0, 1.0, 0.0, 1.0)
    assert read_answer("instance_segmentation", {"boxes": [one]}) == [Found("nut", 0.9, (0, 0, 1, 1), (outline,))]


def test_outlines_are_cut_at_the_border_and_lines_are_none() -> None:
    one = {**box(0, 0, 1, 1), "polygon": [[0, 0, 1.2, 1, -3, 1], [0, 0, 1, 1], []]}
    [found] = read_answer("instance_segmentation", {"boxes": [one]})
    assert found.polygons == ((0.0, 0.0, 1.0, 1.0, 0.0, 1.0),)
    assert unpack(json.loads(json.dumps(pack([found])))) == [found]


@pytest.mark.parametrize("polygon", [[0, 1], "outline", [[0, 0, 1]], [[0, 0, 1, "x"]], [[0, 0, 1, math.inf]], {"a": 1}])
def test_an_outline_of_another_shape_is_refused(polygon: Any) -> None:
    with pytest.raises(UpstreamRefused, match="another shape"):
        read_answer("instance_segmentation", {"boxes": [{**box(0, 0, 1, 1), "polygon": polygon}]})


@pytest.mark.parametrize("task", ["image_classification", "image_classification_multilabel"])
def test_classes_are_read(task: Any) -> None:
    answer = {"probs": [0.2, 0.8], "labels": ["bolt", "nut"]}
    assert read_answer(task, answer) == [Found("bolt", 0.2), Found("nut", 0.8)]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"boxes": None},
        {"boxes": {}},
        {"boxes": [1]},
        {"boxes": [{}]},
        {"boxes": [{"box": [0, 0, 1, 1], "label": "nut", "score": 1}]},
        {"boxes": [box(0, 0, 1, 1, score=None)]},
        {"boxes": [box(0, 0, 1, 1, score="0.9")]},
        {"boxes": [box(0, 0, 1, math.nan)]},
        {"boxes": [box(0, 0, 1, True)]},
        {"boxes": [{**box(0, 0, 1, 1), "label": 3}]},
        {"error": "out of memory"},
    ],
)
def test_another_shape_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(UpstreamRefused, match="another shape"):
        read_answer("object_detection", answer)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"probs": [1.0]},
        {"probs": [], "labels": []},
        {"probs": [1.0], "labels": ["a", "b"]},
        {"probs": ["1"], "labels": ["a"]},
    ],
)
def test_another_shape_of_classes_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(UpstreamRefused, match="another shape"):
        read_answer("image_classification", answer)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["boxes", "box", "label", "score", "topX", "probs", "labels", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["boxes", "probs", "labels"]), json_values))
def test_whatever_is_answered_is_read_or_refused(answer: dict[str, Any]) -> None:
    for task in ("object_detection", "image_classification"):
        try:
            found = read_answer(task, answer)
        except UpstreamRefused:
            continue
        assert all(math.isfinite(f.score) for f in found)


shares = st.floats(0, 1)
founds = st.lists(st.builds(Found, st.text(max_size=9), shares, st.none() | st.tuples(shares, shares, shares, shares)))


@given(founds)
def test_what_is_stored_comes_back(found: list[Found]) -> None:
    back = unpack(json.loads(json.dumps(pack(found))))
    assert [f.label for f in back] == [f.label for f in found]
    for before, after in zip(found, back, strict=True):
        assert after.score == pytest.approx(before.score, abs=1e-6)
        assert (after.box is None) is (before.box is None)
        assert after.box is None or before.box is None or after.box == pytest.approx(before.box, abs=1e-6)
