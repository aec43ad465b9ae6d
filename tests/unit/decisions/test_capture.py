"""Which predictions are in doubt: at each border, just inside it and just outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.capture import doubt
from services.loop_config import Capture, Task

POLICY = Capture(floor=0.25, below=0.5, margin=0.125)
"""Numbers that floating point holds exactly, so that a border is one."""
Found = list[tuple[str, float]]


@pytest.mark.parametrize("task", ["object_detection", "instance_segmentation"])
@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], ""),
        ([("nut", 0.25)], "nut 0.25: from 0.25 to 0.50 it is unsure; 1 such"),
        ([("nut", 0.2499)], ""),
        ([("nut", 0.4999)], "nut 0.50: from 0.25 to 0.50 it is unsure; 1 such"),
        ([("nut", 0.5)], ""),
        (
            [("nut", 0.9), ("bolt", 0.4), ("nut", 0.3), ("nut", 0.1)],
            "bolt 0.40: from 0.25 to 0.50 it is unsure; 2 such",
        ),
    ],
)
def test_a_box_is_unsure_from_the_floor_to_below(task: Task, found: Found, said: str) -> None:
    assert doubt(POLICY, task, found) == said


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (0.3749, ""),
        (0.375, "nut 0.38: from 0.38 to 0.62 it is unsure; 1 such"),
        (0.5, "nut 0.50: from 0.38 to 0.62 it is unsure; 1 such"),
        (0.6249, "nut 0.62: from 0.38 to 0.62 it is unsure; 1 such"),
        (0.625, ""),
    ],
)
def test_of_several_classes_one_is_unsure_that_is_close_to_being_found_or_not(score: float, said: str) -> None:
    assert doubt(POLICY, "image_classification_multilabel", [("bolt", 0.99), ("nut", score)]) == said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], ""),
        ([("nut", 0.4)], ""),  # nothing to confuse it with
        ([("nut", 0.5), ("bolt", 0.375)], ""),
        ([("nut", 0.5), ("bolt", 0.376)], "nut 0.50 and bolt 0.38 are closer than 0.12"),
        ([("nut", 0.5), ("bolt", 0.25), ("ring", 0.25)], ""),  # the third is of no account
        ([("nut", 0.4), ("bolt", 0.4)], "nut 0.40 and bolt 0.40 are closer than 0.12"),
    ],
)
def test_of_one_class_the_best_two_may_not_be_close(found: Found, said: str) -> None:
    assert doubt(POLICY, "image_classification", found) == said


@pytest.mark.parametrize(
    ("task", "found", "classes", "is_kept"),
    [
        ("object_detection", [("nut", 0.3), ("bolt", 0.3)], ["bolt"], True),
        ("object_detection", [("nut", 0.3), ("bolt", 0.9)], ["bolt"], False),
        ("image_classification", [("nut", 0.5), ("bolt", 0.5)], ["nut"], True),
        ("image_classification", [("nut", 0.5), ("bolt", 0.5)], ["bolt"], True),
        ("image_classification", [("nut", 0.5), ("bolt", 0.5)], ["ring"], False),
        ("image_classification", [("nut", 0.3), ("bolt", 0.3), ("ring", 0.3)], ["ring"], False),
    ],
)
def test_only_doubt_about_the_classes_that_are_meant_counts(
    task: Task, found: Found, classes: list[str], is_kept: bool
) -> None:
    said = doubt(POLICY.model_copy(update={"classes": classes}), task, found)
    assert bool(said) is is_kept
    if task == "object_detection" and is_kept:
        assert said == "bolt 0.30: from 0.25 to 0.50 it is unsure; 1 such"


@given(st.lists(st.tuples(st.sampled_from(["nut", "bolt"]), st.floats(0, 1)), max_size=6))
def test_what_is_sure_does_not_change_whether_there_is_doubt(found: Found) -> None:
    unsure = [one for one in found if 0.25 <= one[1] < 0.5]
    assert doubt(POLICY, "object_detection", found) == doubt(POLICY, "object_detection", unsure)
