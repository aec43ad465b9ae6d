"""What a person's word comes to in every situation, as whole sentences: they are what is answered over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.orders import HOLDABLE, Answer, Word, answer, previous
from services.decisions.rollout import CANCELLABLE
from services.state import Guard, LoopState, ModelRef, Order, Repair, Rollout, RolloutOrder, RolloutStep
from tests.support.predictions import champion
from tests.support.stages import NOW, run, state

BY_ADA = Order(by="Ada", why="lunch", at=NOW)
NO_MODEL, LOST, NEXT_WAITS = run(5), run(6, rollout="promoted"), RolloutOrder(kind="promote", run=4, order=BY_ADA)


def model(number: int, rollout: Any = "") -> Any:
    return run(number, rollout=rollout, model=ModelRef(name="vl-nuts", version=str(number)))


RUNS = [model(1, "promoted"), model(2, "rolled_back"), model(3, "promoted"), model(4), NO_MODEL]


def live(number: int | None = 3, **changes: Any) -> LoopState:
    """Runs 1 and 3 went live, 2 was rolled back, 4 was not deployed yet, 5 made no model; no rollout is under way."""
    made = state(runs=changes.pop("runs", RUNS))
    made.champion = champion(run=number) if number is not None else None
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def rolling(step: RolloutStep = "canary", number: int | None = 3, **changes: Any) -> LoopState:
    """Run 4 is rolled out beside the champion."""
    fields: dict[str, Any] = {
        "run": 4,
        "model": ModelRef(name="vl-nuts", version="4"),
        "dataset_version": 1,
        "endpoint": "vl-nuts",
        "slot": "green",
        "step": step,
        "started": NOW,
        "step_started": NOW,
    }
    return live(number, rollout=Rollout(**fields | changes))


ORDERED = RolloutOrder(kind="promote", run=4, order=BY_ADA)
GOES_LIVE = "The model of run 4 goes live without approval and canary, whatever is measured"
UNDER_WAY = "The rollout of run 4 is under way, in step canary"
Case = tuple[LoopState, int | None, Answer]


def check(word: Word, case: Case) -> None:
    made, number, expected = case
    assert answer(word, made, number) == expected


PROMOTIONS: dict[str, Case] = {
    "live already": (live(), 3, Answer("nothing", "The model of run 3 is live already", 3)),
    "live already, beside a rollout": (rolling(), 3, Answer("nothing", "The model of run 3 is live already", 3)),
    "the one under way": (rolling(), 4, Answer("advance", GOES_LIVE, 4)),
    "whatever is under way": (rolling(), None, Answer("advance", GOES_LIVE, 4)),
    "the first one under way": (rolling(number=None), 4, Answer("advance", GOES_LIVE, 4)),
    "another than the one under way": (rolling(), 1, Answer("refused", UNDER_WAY)),
    "nothing to mean": (
        live(),
        None,
        Answer("refused", "No rollout is under way: name the run whose model is to go live"),
    ),
    "a rollout that is over": (
        rolling("done"),
        None,
        Answer("refused", "No rollout is under way: name the run whose model is to go live"),
    ),
    "in its window": (
        rolling("keep", outcome="promoted"),
        None,
        Answer("nothing", "The model of run 4 is live already", 4),
    ),
    "being taken back": (
        rolling("abandon", outcome="rejected"),
        4,
        Answer("refused", "The rollout of run 4 has ended, rejected; try again when it is over"),
    ),
    "asked for already": (
        rolling(order=ORDERED),
        4,
        Answer("nothing", "It was asked for already by Ada: lunch", 4),
    ),
    "a run with a model": (
        live(),
        1,
        Answer("begin", "The model of run 1 is deployed and goes live, whatever is measured", 1),
    ),
    "the first model": (
        live(None),
        4,
        Answer("begin", "The model of run 4 is deployed and goes live, whatever is measured", 4),
    ),
    "a run without a model": (live(), 5, Answer("refused", "Run 5 has no model")),
    "no such run": (live(), 9, Answer("refused", "Run 9 has no model")),
    "another asked for": (
        live(rollout_next=NEXT_WAITS),
        1,
        Answer("nothing", "The model of run 4 is to go live already", 1),
    ),
}


@pytest.mark.parametrize("case", PROMOTIONS.values(), ids=PROMOTIONS)
def test_a_promotion(case: Case) -> None:
    check("promote", case)


RESTORED = "The model of run 1 is deployed again and goes live"
TAKEN_BACK = Answer("nothing", "The rollout of run 4 is being taken back already", 4)
ROLLBACKS: dict[str, Case] = {
    "before the traffic moved": (
        rolling(),
        None,
        Answer("cancel", "The rollout of run 4 is ended, the champion stays", 4),
    ),
    "by its number": (rolling(), 4, Answer("cancel", "The rollout of run 4 is ended, the champion stays", 4)),
    "another than the one under way": (rolling(), 3, Answer("refused", UNDER_WAY)),
    "in its window": (
        rolling("keep", outcome="promoted"),
        4,
        Answer("revert", "Traffic goes back from run 4 to the champion before", 4),
    ),
    "while the old slot goes": (
        rolling("retire", outcome="promoted"),
        4,
        Answer("refused", "The old slot is being removed; ask again when that is over, and it is deployed anew"),
    ),
    "a failed revert": (rolling("retire", outcome="failed"), 4, TAKEN_BACK),
    "being taken back": (rolling("revert"), 4, TAKEN_BACK),
    "being taken back after its window": (rolling("revert", outcome="promoted"), None, TAKEN_BACK),
    "being removed": (rolling("abandon"), None, TAKEN_BACK),
    "no model live": (live(None), None, Answer("refused", "No model is live")),
    "the one before": (live(), None, Answer("restore", RESTORED, 1)),
    "the one before, by number": (live(), 3, Answer("restore", RESTORED, 1)),
    "after a rollout that is over": (rolling("done"), None, Answer("restore", RESTORED, 1)),
    "not live any more": (live(), 4, Answer("nothing", "Run 4 is not live, run 3 is", 4)),
    "the first one": (live(1), None, Answer("refused", "No model was live before that of run 1")),
    "asked for already": (
        live(rollout_next=NEXT_WAITS),
        3,
        Answer("nothing", "The model of run 4 is to go live already", 3),
    ),
}


@pytest.mark.parametrize("case", ROLLBACKS.values(), ids=ROLLBACKS)
def test_a_rollback(case: Case) -> None:
    check("rollback", case)


NOT_HOLDABLE = Answer("refused", "No rollout is under way whose traffic could be held")
HOLDS: dict[str, tuple[Word, Case]] = {
    "hold": ("hold", (rolling(), None, Answer("hold", "The traffic of the rollout of run 4 stays where it is", 4))),
    "hold it by number": (
        "hold",
        (rolling("keep"), 4, Answer("hold", "The traffic of the rollout of run 4 stays where it is", 4)),
    ),
    "hold another": ("hold", (rolling(), 3, NOT_HOLDABLE)),
    "hold twice": ("hold", (rolling(held=BY_ADA), 4, Answer("nothing", "It is held already by Ada: lunch", 4))),
    "hold nothing": ("hold", (live(), None, NOT_HOLDABLE)),
    "resume": ("resume", (rolling(held=BY_ADA), None, Answer("resume", "The rollout of run 4 goes on", 4))),
    "resume another": ("resume", (rolling(held=BY_ADA), 3, NOT_HOLDABLE)),
    "resume what goes on": ("resume", (rolling(), 4, Answer("nothing", "Nobody holds it", 4))),
    "resume nothing": ("resume", (live(), None, NOT_HOLDABLE)),
}


@pytest.mark.parametrize(("word", "case"), HOLDS.values(), ids=HOLDS)
def test_a_hold(word: Word, case: Case) -> None:
    check(word, case)


@pytest.mark.parametrize("step", get_args(RolloutStep))
def test_what_a_word_comes_to_in_each_step(step: RolloutStep) -> None:
    """Before the traffic moved all is open, in the window all but a promotion; after that nothing is to be held."""
    made = rolling(step, outcome="" if step in CANCELLABLE else "rolled_back")
    assert (answer("promote", made, 4).effect == "advance") is (step in CANCELLABLE)
    assert (answer("rollback", made, 4).effect == "cancel") is (step in CANCELLABLE)
    assert (answer("hold", made, 4).effect == "hold") is (step in HOLDABLE)
    assert {"keep"} == HOLDABLE - CANCELLABLE


@pytest.mark.parametrize(
    ("number", "runs", "expected"),
    [
        (None, RUNS, None),
        (1, RUNS, None),
        (3, RUNS, 1),
        (4, RUNS, 3),
        (9, RUNS, 3),
        (9, [*RUNS, LOST], 3),  # its model is not known any more
        (9, RUNS[::-1], 3),
    ],
)
def test_the_model_before_is_the_newest_that_went_live_and_stayed(
    number: int | None, runs: list[Any], expected: int | None
) -> None:
    found = previous(live(number, runs=runs))
    assert (found.number if found else None) == expected


def test_the_model_before_goes_by_when_it_was_live_not_by_its_number() -> None:
    """Run 2 was live, then a person brought run 1 back: the one before is run 2."""
    now = champion().promoted
    runs = [model(n, "promoted") for n in (1, 2, 3)]
    for found, hours in zip(runs, (0, -1, -9), strict=True):
        found.went_live = now + timedelta(hours=hours)
    before = previous(live(1, runs=runs))
    assert before is not None
    assert before.number == 2
    runs[1].went_live = now
    assert previous(live(1, runs=runs)) is runs[2]


@given(st.sampled_from(get_args(Word)), st.sampled_from(get_args(RolloutStep)), st.sampled_from([None, 1, 3, 4, 9]))
def test_only_what_is_refused_names_no_run(word: Word, step: RolloutStep, number: int | None) -> None:
    found = answer(word, rolling(step), number)
    assert (found.run is None) is (found.effect == "refused")
    assert found.says


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        (Guard(), Answer("nothing", "The model of run 3 is live already", 3)),
        (Guard(trouble="gone"), Answer("recover", "The model of run 3 is brought back, with all traffic", 3)),
        (Guard(trouble="traffic"), Answer("recover", "The model of run 3 is brought back, with all traffic", 3)),
        (Guard(trouble="taken", reason="It belongs to bolts"), Answer("refused", "It belongs to bolts")),
        (
            Guard(trouble="gone", repair=Repair(trouble="gone", since=NOW)),
            Answer("nothing", "The model of run 3 is being brought back already", 3),
        ),
    ],
)
def test_a_champion_that_was_taken_away_is_promoted_by_being_brought_back(guard: Guard, expected: Answer) -> None:
    made = live()
    made.guard = guard
    assert answer("promote", made, 3) == expected


def test_during_a_rollout_the_champion_is_not_brought_back_by_a_word() -> None:
    made = rolling()
    made.guard = Guard(trouble="gone")
    assert answer("promote", made, 3).effect == "nothing"
