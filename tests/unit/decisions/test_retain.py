"""Which dataset version is no longer kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.retain import decide, in_use
from services.state import LoopState
from tests.support.stages import run, state, version


def loop(keep: int, numbers: list[int], *trained: int) -> LoopState:
    runs = [run(number, dataset_version=on) for number, on in enumerate(trained, 1)]
    config: dict[str, Any] = {"retention": {"dataset_versions": keep}}
    return state(config=config, datasets=[version(number) for number in numbers], runs=runs)


@pytest.mark.parametrize(
    ("keep", "numbers", "trained", "archived"),
    [
        (0, [1, 2, 3, 4], [], None),
        (4, [1, 2, 3, 4], [], None),
        (3, [1, 2, 3, 4], [], 1),
        (1, [1, 2, 3], [1], 2),
        (1, [1, 2, 3], [1, 2], None),
        (1, [3, 1, 2], [], 1),  # 2 is current again, and 3 keeps its number from being taken twice
        (1, [], [], None),
    ],
)
def test_the_oldest_that_nothing_goes_by(
    keep: int, numbers: list[int], trained: list[int], archived: int | None
) -> None:
    decision = decide(loop(keep, numbers, *trained))
    assert (decision.act, decision.facts.get("version")) == (archived is not None, archived)
    if archived:
        assert decision.reason.startswith(f"Version {archived} is beyond the {keep} that loop.yaml keeps")


def test_one_that_is_being_registered_is_none_of_them() -> None:
    made = loop(2, [1, 2])
    made.datasets.append(version(3, status="registering"))
    assert not decide(made).act


@given(st.integers(0, 5), st.lists(st.integers(1, 9), unique=True, max_size=9), st.lists(st.integers(1, 9), max_size=3))
def test_it_ends_with_the_newest_and_those_in_use(keep: int, numbers: list[int], trained: list[int]) -> None:
    made = loop(keep, numbers, *trained)
    while (decision := decide(made)).act:
        made.datasets.remove(made.version(int(str(decision.facts["version"]))))
    left = [v.number for v in made.datasets]
    assert set(left) >= in_use(made) & set(numbers)
    assert left[-keep:] == numbers[-keep:] if keep else left == numbers
    assert not keep or set(left) <= set(numbers[-keep:]) | in_use(made)
