"""Each rule of training at its border, and what it says, word for word where the words carry numbers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.decisions.decision import Decision, held
from services.decisions.train import RULES, decide
from services.state import LoopState, Order, Preflight
from tests.support.stages import NOW, run, state, version
from tests.unit.decisions.test_train import facts, policy

SECOND = timedelta(seconds=1)
ADA = Order(by="Ada", why="fair", at=NOW)


def loop(*versions: Any, runs: Any = (), order: Order | None = None, **training: Any) -> LoopState:
    made = state(config=policy(**training), datasets=versions or [version()], runs=runs)
    made.train_now = order
    return made


def said(made: LoopState, later: timedelta = timedelta()) -> tuple[Any, bool, str]:
    found = decide(facts(made, later=later))
    return found.facts.get("rule"), found.act, found.reason


def transient(**changes: Any) -> Any:
    fields = {"status": "failed", "config_hash": "config", "failure": "transient", "reason": "preempted"}
    return run(1, **fields | {"finished": NOW} | changes)


OLD, NEW = version(), version(2, new_since_trained=12)
UNTRAINED = version(images_per_class={"bolt": 4, "nut": 5}, train_images=15, validation_images=4)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (loop(NEW), "40 labelled images (20 needed), at least 5 of every class: dataset version 2 is trained"),
        (
            loop(OLD, NEW, runs=[run()]),
            "12 newly labelled images since run 1 (10 needed): dataset version 2 is trained",
        ),
        (loop(order=ADA), "A training run was asked for by Ada: fair: dataset version 1 is trained"),
        (loop(UNTRAINED, order=ADA), "A training run was asked for by Ada: fair: dataset version 1 is trained"),
        (
            loop(OLD, version(2, new_since_trained=1, images_per_class={"bolt": 40}), runs=[run()], order=ADA),
            "A training run was asked for by Ada: fair: dataset version 2 is trained",
        ),
        (
            loop(runs=[transient(finished=NOW - timedelta(days=1))], retries={"most": 2}),
            "Attempt 2 of 3 after run 1, which failed in a way that passes: dataset version 1 is trained",
        ),
    ],
)
def test_why_a_run_starts(made: LoopState, reason: str) -> None:
    assert decide(facts(made)) == Decision(True, reason)


def test_what_the_first_threshold_lacks_is_given_to_programs_too() -> None:
    found = decide(facts(loop(UNTRAINED)))
    numbers = {"have": 19, "needed": 20, "classes": {"bolt": 4}, "per_class": 5}
    reason = "19 of 20 labelled images; class `bolt` has 4 of 5"
    assert found == Decision(False, reason, None, {"rule": "first_threshold", **numbers})


@pytest.mark.parametrize(("new", "rule"), [(0, "nothing_new"), (1, "retrain_threshold"), (9, "retrain_threshold")])
def test_what_a_retraining_lacks_is_given_to_programs_too(new: int, rule: str) -> None:
    found = decide(facts(loop(OLD, version(2, new_since_trained=new), runs=[run()])))
    reason = f"{new} of 10 newly labelled images since run 1 (dataset version 1)"
    assert found == Decision(False, reason, None, {"rule": rule, "have": new, "needed": 10})


def test_after_a_run_whose_version_is_not_remembered_the_first_threshold_counts() -> None:
    forgotten = run(dataset_version=7)
    made = loop(version(2, new_since_trained=12), runs=[forgotten])
    assert said(made)[1:] == (
        True,
        "40 labelled images (20 needed), at least 5 of every class: dataset version 2 is trained",
    )


@pytest.mark.parametrize(("nuts", "holds"), [(2, True), (3, False)])
def test_a_class_is_held_to_its_floor_after_the_first_model(nuts: int, holds: bool) -> None:
    lost = version(2, images_per_class={"bolt": 60, "nut": nuts})
    found = decide(facts(loop(OLD, lost, runs=[run()], retrain_threshold={"per_class": 3})))
    assert found.act is not holds
    if holds:
        numbers = {"classes": {"nut": nuts}, "per_class": 3}
        assert found == Decision(False, "class `nut` has 2 of 3", None, {"rule": "class_floor", **numbers})


def test_rules_of_retraining_are_not_asked_of_a_first_model() -> None:
    first = version(new_since_trained=0, images_per_class={"bolt": 38, "nut": 2})
    made = loop(first, first_threshold={"per_class": 1}, retrain_threshold={"per_class": 3})
    assert said(made)[1]


def test_every_class_below_its_floor_is_named() -> None:
    poor = version(2, images_per_class={"bolt": 1})
    made = loop(OLD, poor, runs=[run()], retrain_threshold={"per_class": 3})
    assert said(made)[2] == "class `bolt` has 1 of 3; class `nut` has 0 of 3"


@pytest.mark.parametrize(("new", "rules"), [(0, ["nothing_new"]), (9, ["retrain_threshold"]), (10, [])])
def test_an_explanation_names_what_is_new_once(new: int, rules: list[str]) -> None:
    made = loop(OLD, version(2, new_since_trained=new), runs=[run()])
    assert [one.facts["rule"] for one in held(RULES, facts(made))] == rules


REFUSED = "Azure ML's AutoML would refuse dataset version 1: "
ONE_CLASS: dict[str, Any] = {"images_per_class": {"bolt": 40, "nut": 0}}


@pytest.mark.parametrize(
    ("changes", "short"),
    [
        ({"train_images": 8, "validation_images": 2}, ""),
        ({"train_images": 7, "validation_images": 2}, "9 of 10 images"),
        ({"train_images": 10, "validation_images": 0}, "no image for validation"),
        ({"train_images": 0, "validation_images": 10}, "no image for training"),
        ({"train_images": 1, "validation_images": 9}, ""),
        (ONE_CLASS, ""),
        ({"images_per_class": {}}, "0 of 1 classes with images"),
        ({**ONE_CLASS, "task": "image_classification"}, "1 of 2 classes with images"),
        ({"task": "image_classification"}, ""),
        ({**ONE_CLASS, "task": "image_classification_multilabel"}, ""),
        (
            {"train_images": 0, "validation_images": 0, "images_per_class": {}},
            "0 of 10 images; 0 of 1 classes with images; no image for training; no image for validation",
        ),
    ],
)
def test_what_automl_refuses_nobody_can_ask_for(changes: dict[str, Any], short: str) -> None:
    rule, acts, reason = said(loop(version(**changes), order=ADA))
    assert (rule, acts) == (("minimum", False) if short else (None, True))
    assert not short or reason == REFUSED + short


TWICE = "Dataset version 1 was trained with these settings by run 1 "
NEEDS = "; it takes new labels or other training settings"


@pytest.mark.parametrize(
    ("old", "order", "reason"),
    [
        (run(config_hash="config"), ADA, f"{TWICE}(completed){NEEDS}"),
        (run(config_hash="config"), Order(at=NOW, again=True), f"{TWICE}(completed){NEEDS}"),
        (run(config_hash="config", status="failed"), None, f"{TWICE}(failed){NEEDS}, or to train with again: true"),
        (
            run(config_hash="config", status="canceled", reason="by Ada"),
            ADA,
            f"{TWICE}(canceled: by Ada){NEEDS}, or to train with again: true",
        ),
        (run(config_hash="config", status="failed"), Order(at=NOW, again=True), None),
        (run(config_hash="other", status="failed"), None, None),
    ],
)
def test_the_same_job_is_not_paid_twice(old: Any, order: Order | None, reason: str | None) -> None:
    found = decide(facts(loop(runs=[old], order=order)))
    if reason is None:
        assert found.act
    else:
        assert found == Decision(False, reason, None, {"rule": "never_twice", "run": 1})


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 600), (2, 1200), (3, 2400), (8, 76800), (9, 86400), (10, 86400)],
)
def test_a_retry_waits_twice_as_long_each_time_up_to_a_day(attempt: int, seconds: int) -> None:
    made = loop(runs=[transient(attempt=attempt)], retries={"most": 10, "backoff_seconds": 600})
    begins = NOW + timedelta(seconds=seconds)
    waits = f"Run 1 failed in a way that passes (preempted); attempt {attempt + 1} of 11 begins at {begins:%Y-%m-%d %H:%M:%S} UTC"
    assert said(made, later=timedelta(seconds=seconds) - SECOND) == ("backoff", False, waits)
    assert said(made, later=timedelta(seconds=seconds))[1]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"attempt": 2}, "backoff"),
        ({"attempt": 3}, "never_twice"),  # two retries are allowed
        ({"failure": "quota"}, "never_twice"),
        ({"finished": None}, None),
        ({"config_hash": "other"}, None),
    ],
)
def test_only_what_passes_is_repeated_and_only_so_often(changes: dict[str, Any], rule: str | None) -> None:
    assert said(loop(runs=[transient(**changes)], retries={"most": 2, "backoff_seconds": 60}))[0] == rule


def test_who_asks_need_not_wait_for_a_backoff_or_a_cooldown() -> None:
    assert said(loop(runs=[transient()], order=ADA))[1]
    made = loop(OLD, NEW, runs=[run(finished=NOW)], cooldown_seconds=60)
    assert said(made)[0] == "cooldown"
    made.train_now = ADA
    assert said(made)[1]


@pytest.mark.parametrize(("later", "again"), [(0, 60), (59, 1), (59.5, 1), (60, None), (3600, None)])
def test_a_cooldown_ends_at_its_second(later: float, again: float | None) -> None:
    runs = [run(1, finished=NOW - timedelta(days=2)), run(2, finished=NOW), run(3, status="failed", finished=None)]
    made = loop(OLD, NEW, runs=runs, cooldown_seconds=60)
    found = decide(facts(made, later=timedelta(seconds=later)))
    assert (found.act, found.again_in) == (again is None, again)
    if again:
        assert found.reason == "The cooldown after the last run lasts until 2026-01-01 12:01:00 UTC"


def test_a_preflight_of_something_else_holds_nothing() -> None:
    made = loop()
    made.preflight = Preflight(key="other", at=NOW, problems=["no quota"])
    assert said(made)[1]
    made.preflight.key = facts(made).key
    assert said(made) == ("preflight", False, "no quota")
    made.train_now = Order(at=NOW)  # asked in the very moment: that is what was looked at
    assert said(made)[0] == "preflight"


def test_a_dry_run_is_told_once_for_each_decision() -> None:
    made = loop(dry_run=True)
    assert said(made)[1]
    made.rehearsed = facts(made).key
    told = "Dry run: the job was told instead of submitted, as training.dry_run is true"
    assert said(made) == ("dry_run", False, told)
    paid = loop()
    paid.rehearsed = made.rehearsed
    assert said(paid)[1]


def test_what_is_trained_how_and_where_makes_the_key() -> None:
    made = loop(compute={"name": "gpus", "size": "Standard_X"})
    assert facts(made).key == "content-1/config/1/gpus/Standard_X"
    made.runs.append(transient(attempt=4))
    assert facts(made).key == "content-1/config/5/gpus/Standard_X"
    assert facts(state()).key.startswith("/config/1/")
