from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.rollout import (
    CANCELLABLE,
    LIMITS,
    SLOTS,
    TRANSITIONS,
    Outcome,
    candidates,
    free_slot,
    given_up,
    may_try,
    next_step,
    overdue,
)
from services.state import ModelRef, Rollout, RolloutStep
from tests.support.stages import NOW, run, state

PAGE = Path(__file__).parents[3] / "docs" / "rollout.md"
MODEL = ModelRef(name="vl-nuts", version="1")


def rollout(**changes: Any) -> Rollout:
    fields = {
        "run": 1,
        "model": MODEL,
        "dataset_version": 1,
        "endpoint": "nuts",
        "slot": "blue",
        "started": NOW,
        "step_started": NOW,
    }
    return Rollout(**fields | changes)


def test_the_page_draws_the_table() -> None:
    drawn = re.findall(r"^ *(\w+) --> (\w+): ([\w ]+?) *$", PAGE.read_text(), re.MULTILINE)
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {(step, to, outcome) for step, ways in TRANSITIONS.items() for outcome, to in ways.items()}


def test_the_page_gives_every_limit() -> None:
    text = PAGE.read_text()
    for step, limit in LIMITS.items():
        row = re.search(rf"^\| `{step}` \| (\d+) min \| (.+?) \|", text, re.MULTILINE)
        assert row is not None, step
        assert int(row[1]) == limit.lasts.total_seconds() / 60
        assert row[2] == ("\u2013" if limit.attempts is None else str(limit.attempts))


def test_every_step_and_outcome_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(get_args(RolloutStep))
    assert {o for ways in TRANSITIONS.values() for o in ways} == set(get_args(Outcome))
    assert set(LIMITS) == set(TRANSITIONS) - {"done"}


def reachable(start: RolloutStep, without: RolloutStep | None = None) -> set[RolloutStep]:
    seen: set[RolloutStep] = set()
    waiting = [start]
    while waiting:
        step = waiting.pop()
        if step not in seen and step != without:
            seen.add(step)
            waiting += TRANSITIONS[step].values()
    return seen


def test_every_step_is_reached_and_ends() -> None:
    assert reachable("endpoint") == set(TRANSITIONS)
    for step in TRANSITIONS:
        assert "done" in reachable(step)


@pytest.mark.parametrize("needed", ["smoke", "evaluate", "decide"])
def test_no_way_to_the_traffic_leaves_out_a_proof(needed: RolloutStep) -> None:
    assert not {"canary", "shift"} & reachable("endpoint", without=needed)


def test_before_the_traffic_moved_every_step_can_fail() -> None:
    for step in TRANSITIONS:
        assert ("failed" in TRANSITIONS[step]) is (step not in ("keep", "retire", "abandon", "done"))


def test_before_it_is_live_every_step_can_be_rolled_back() -> None:
    assert {step for step, ways in TRANSITIONS.items() if ways.get("rolled back") == "abandon"} == CANCELLABLE


def test_a_rollout_that_is_held_is_never_overdue() -> None:
    held = rollout(step="canary", held={"at": NOW})
    assert overdue(held, NOW + timedelta(days=300)) == ""


def test_a_step_has_no_outcome_of_another() -> None:
    with pytest.raises(ValueError, match="smoke has no outcome shifted"):
        next_step("smoke", "shifted")


@pytest.mark.parametrize("step", sorted(LIMITS))
def test_a_step_ends_after_its_time(step: RolloutStep) -> None:
    lasts = LIMITS[step].lasts
    assert overdue(rollout(step=step), NOW + lasts) == ""
    said = f"step {step} has lasted more than {lasts // timedelta(minutes=1)} minutes"
    assert overdue(rollout(step=step), NOW + lasts + timedelta(seconds=1)) == said


@pytest.mark.parametrize(("seconds", "expected"), [(0, False), (299, False), (300, True), (301, True)])
def test_an_overdue_step_is_given_up_when_its_grace_is_over(seconds: int, expected: bool) -> None:
    late = NOW + LIMITS["deploy"].lasts + timedelta(hours=5)
    found = rollout(step="deploy", overdue_since=late)
    assert given_up(found, late + timedelta(seconds=seconds)) == ("" if not expected else overdue(found, late))


def test_a_step_that_nobody_saw_overdue_is_not_given_up() -> None:
    late = NOW + timedelta(days=3)
    assert given_up(rollout(step="deploy"), late) == ""
    assert given_up(rollout(step="deploy", overdue_since=late - timedelta(hours=1), held={"at": NOW}), late) == ""


def test_attempts_are_counted() -> None:
    assert may_try(rollout(step="deploy", attempts=1))
    assert not may_try(rollout(step="deploy", attempts=2))
    assert may_try(rollout(step="retire", attempts=1000))


def pending(*numbers: int) -> list[Any]:
    return [run(n, rollout="pending", model=MODEL) for n in numbers]


def test_the_newest_candidate_goes_and_older_ones_are_superseded() -> None:
    found = candidates(state(runs=[*pending(2, 5, 3), run(6, rollout="rejected"), run(7)]))
    assert found.next is not None
    assert found.next.number == 5
    assert [r.number for r in found.superseded] == [2, 3]


def test_a_rollout_under_way_is_not_superseded() -> None:
    made = state(runs=pending(1, 2, 3))
    made.rollout = rollout(run=1, step="shift")
    found = candidates(made)
    assert found.next is None
    assert [r.number for r in found.superseded] == [2]
    made.rollout.step = "done"
    made.runs[0].rollout = "promoted"
    assert candidates(made).next is made.runs[2]


def test_a_paused_loop_rolls_nothing_out() -> None:
    assert candidates(state(config={"paused": True}, runs=pending(1))).next is None


traffic = st.dictionaries(st.sampled_from(SLOTS), st.integers(0, 100))


@given(st.sampled_from([None, *SLOTS]), traffic)
def test_the_free_slot_is_neither_live_nor_has_traffic(live: Any, share: dict[str, int]) -> None:
    slot = free_slot(live, share)
    if slot is None:
        assert all(s == live or share.get(s) for s in SLOTS)
    else:
        assert slot != live
        assert not share.get(slot)
