"""Which dataset version is no longer kept."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.decision import Decision
from services.decisions.retain import decide, in_use
from services.state import LoopState, Rollout
from tests.support.predictions import champion
from tests.support.stages import NOW, run, state, version


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
        said = f"Version {archived} is beyond the {keep} that loop.yaml keeps, and nothing goes by it"
        assert decision.reason == said


def test_one_that_is_being_registered_is_none_of_them() -> None:
    made = loop(2, [1, 2])
    made.datasets.append(version(3, status="registering"))
    assert not decide(made).act


@pytest.mark.parametrize(
    ("keep", "numbers", "trained", "said"),
    [
        (0, [1, 2], [], "2 dataset versions, all of them kept"),
        (2, [1, 2], [], "2 dataset versions, all of them kept"),
        (1, [1, 2], [1], "2 dataset versions, those beyond 1 are in use"),
        (0, [], [], "0 dataset versions, all of them kept"),
    ],
)
def test_why_none_is_archived(keep: int, numbers: list[int], trained: list[int], said: str) -> None:
    assert decide(loop(keep, numbers, *trained)) == Decision(False, said)


def test_what_is_in_use() -> None:
    assert in_use(loop(1, [])) == {0}
    made = loop(1, [1, 2, 3, 4, 5, 9, 6], 2)
    assert in_use(made) == {2, 9}
    made.champion = champion(dataset_version=3)
    made.rollout = Rollout(
        run=1, model=made.champion.model, dataset_version=4, endpoint="e", slot="blue", started=NOW, step_started=NOW
    )
    assert in_use(made) == {2, 3, 4, 9}


@given(st.integers(0, 5), st.lists(st.integers(1, 9), unique=True, max_size=9), st.lists(st.integers(1, 9), max_size=3))
def test_it_ends_with_the_newest_and_those_in_use(keep: int, numbers: list[int], trained: list[int]) -> None:
    made = loop(keep, numbers, *trained)
    while (decision := decide(made)).act:
        made.datasets.remove(made.version(int(str(decision.facts["version"]))))
    left = [v.number for v in made.datasets]
    assert set(left) >= in_use(made) & set(numbers)
    assert left[-keep:] == numbers[-keep:] if keep else left == numbers
    assert not keep or set(left) <= set(numbers[-keep:]) | in_use(made)
