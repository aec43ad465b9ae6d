from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.budget import gpu_hours
from services.decisions.train import RULES, decide, needed_for_retrain
from services.decisions.train_facts import Facts
from services.state import LoopState, Order, Preflight
from tests.support.stages import NOW, run, state, version

QUIET_POLICY = {"training": {"cooldown_seconds": 0}}


def facts(made: LoopState, hashed: str = "config", later: timedelta = timedelta()) -> Facts:
    return Facts(made, hashed, NOW + later)


def rule(made: LoopState, **more: Any) -> str:
    return str(decide(facts(made, **more)).facts.get("rule", ""))


def policy(**training: Any) -> dict[str, Any]:
    return {"training": {"cooldown_seconds": 0, **training}}


def test_enough_labels_train_the_first_model() -> None:
    decision = decide(facts(state(datasets=[version()])))
    assert decision.act
    assert decision.reason == "40 labelled images (20 needed), at least 5 of every class: dataset version 1 is trained"


def test_too_few_images_and_too_few_of_a_class_are_told_with_their_numbers() -> None:
    short = version(train_images=30, validation_images=7, images_per_class={"bolt": 33, "nut": 4})
    decision = decide(facts(state(config=policy(first_threshold={"images": 50}), datasets=[short])))
    assert not decision.act
    assert decision.reason == "37 of 50 labelled images; class `nut` has 4 of 5"
    assert decision.again_in is None


def test_a_class_without_any_image_holds() -> None:
    decision = decide(facts(state(datasets=[version(images_per_class={"bolt": 40})])))
    assert decision.reason == "class `nut` has 0 of 5"


@pytest.mark.parametrize(("images", "acts"), [(19, False), (20, True), (21, True)])
def test_the_threshold_is_reached_exactly(images: int, acts: bool) -> None:
    made = state(datasets=[version(train_images=images - 4, validation_images=4)])
    assert decide(facts(made)).act is acts


def test_without_a_version_the_catalogue_is_told() -> None:
    made = state()
    made.catalogue.labelled = 7
    assert decide(facts(made)).reason == "No dataset version is registered yet; 7 of 20 labelled images"


def test_a_version_being_registered_is_none_yet() -> None:
    assert rule(state(datasets=[version(status="registering")])) == "no_version"


def test_a_paused_loop_trains_nothing() -> None:
    assert rule(state(config={"paused": True}, datasets=[version()])) == "paused"


@pytest.mark.parametrize("status", ["intended", "submitted"])
def test_one_run_at_a_time(status: str) -> None:
    active = run(status=status, finished=None)
    made = state(config=QUIET_POLICY, datasets=[version(), version(2)], runs=[active])
    assert decide(facts(made)).reason == "Training run 1 is under way since 2025-12-31 10:00:00 UTC"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"submitted": None}, "Training run 1 is under way"),
        ({}, "Training run 1 is under way, and waits for its machine"),
        (
            {"waiting": "Training run 1 has waited for a machine: no quota"},
            "Training run 1 has waited for a machine: no quota",
        ),
        (
            {"cancel": Order(by="Ada", at=NOW)},
            "Training run 1 is under way, and waits for its machine; it is to be cancelled by Ada",
        ),
    ],
)
def test_what_the_run_under_way_waits_for(changes: dict[str, Any], said: str) -> None:
    active = run(**{"status": "submitted", "started": None, "finished": None, **changes})
    assert decide(facts(state(datasets=[version()], runs=[active]))).reason == said


def test_enough_labels_without_a_version_do_not_read_as_too_few() -> None:
    made = state()
    made.catalogue.labelled = 40
    assert decide(facts(made)).reason == "No dataset version is registered yet; 40 labelled images, 20 needed"


def test_a_run_that_failed_says_what_helps() -> None:
    made = state(datasets=[version()])
    same = facts(made).config_hash
    made.runs = [run(status="failed", config_hash=same, reason="no quota", help="Ask for more")]
    found = decide(facts(made))
    assert found.reason.endswith(
        "by run 1 (failed: no quota); it takes new labels or other training settings, "
        "or to train with again: true. What helps: Ask for more"
    )


@pytest.mark.parametrize(
    ("new", "retrain", "needed"),
    [
        (9, {}, 10),  # growth: a quarter of 40
        (10, {}, 10),
        (49, {"growth": None}, 50),
        (50, {"growth": None}, 50),
        (3, {"new_images": 4}, 4),
        (4, {"new_images": 4}, 4),
        (11, {"growth": 0.29}, 12),  # 11.6 images are 12
        (10, {"growth": 0.26}, 11),  # 10.4 images are 11
    ],
)
def test_retraining_takes_the_smaller_of_count_and_growth(new: int, retrain: dict[str, Any], needed: int) -> None:
    datasets = [version(), version(2, new_since_trained=new)]
    made = state(config=policy(retrain_threshold=retrain), datasets=datasets, runs=[run()])
    assert needed_for_retrain(facts(made)) == needed
    decision = decide(facts(made))
    assert decision.act is (new >= needed)
    assert f"{new} " in decision.reason
    assert str(needed) in decision.reason


@pytest.mark.parametrize("runs", [[], [run(dataset_version=7)]], ids=["none", "of a version that is not remembered"])
def test_without_a_run_to_grow_from_the_count_is_needed(runs: list[Any]) -> None:
    assert needed_for_retrain(facts(state(datasets=[version()], runs=runs))) == 50


def test_growth_is_counted_in_images_not_in_floating_point() -> None:
    """0.07 * 100 is 7.000000000000001."""
    datasets = [version(train_images=80, validation_images=20), version(2, new_since_trained=7)]
    made = state(config=policy(retrain_threshold={"growth": 0.07}), datasets=datasets, runs=[run()])
    assert needed_for_retrain(facts(made)) == 7
    assert decide(facts(made)).act


def test_growth_is_never_reached_by_nothing() -> None:
    datasets = [version(train_images=1, validation_images=0), version(2, new_since_trained=0)]
    made = state(config=policy(retrain_threshold={"growth": 0.01}), datasets=datasets, runs=[run()])
    assert needed_for_retrain(facts(made)) == 1
    assert rule(made) == "nothing_new"


def test_a_version_that_was_trained_has_nothing_new_whatever_it_had_before() -> None:
    made = state(config=QUIET_POLICY, datasets=[version(new_since_trained=40)], runs=[run()])
    assert decide(facts(made)).reason == "0 of 10 newly labelled images since run 1 (dataset version 1)"
    assert rule(made, hashed="other settings") == "nothing_new"


def test_a_failed_first_run_leaves_the_first_threshold_in_force() -> None:
    failed = run(status="failed", reason="no trial did")
    made = state(config=QUIET_POLICY, datasets=[version(), version(2, new_since_trained=1)], runs=[failed])
    assert decide(facts(made)).act


def test_a_changed_task_begins_anew() -> None:
    other = version(2, task="image_classification", images_per_class={"bolt": 4, "nut": 36}, new_since_trained=40)
    made = state(config=QUIET_POLICY, datasets=[version(), other], runs=[run()])
    assert rule(made) == "first_threshold"


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_the_same_content_and_config_are_never_trained_twice(status: str) -> None:
    again = version(2, content_hash="content-1", new_since_trained=40)
    old = run(status=status, config_hash="config", reason="out of memory")
    decision = decide(facts(state(config=QUIET_POLICY, datasets=[version(), again], runs=[old])))
    assert decision.facts["rule"] == "never_twice"
    assert decision.facts["run"] == 1
    assert f"({status}: out of memory)" in decision.reason


def test_labels_that_return_to_what_was_trained_before_are_not_trained_again() -> None:
    back = version(1, new_since_trained=40)
    runs = [run(1, config_hash="config"), run(2, dataset_version=2)]
    decision = decide(facts(state(config=QUIET_POLICY, datasets=[version(2), back], runs=runs)))
    assert decision.facts["rule"] == "never_twice"
    assert decision.reason.startswith("Dataset version 1 was trained with these settings by run 1 (completed)")


def test_other_settings_may_train_the_same_content() -> None:
    failed = run(status="failed", config_hash="config")
    made = state(config=QUIET_POLICY, datasets=[version()], runs=[failed])
    assert rule(made) == "never_twice"
    assert decide(facts(made, hashed="other")).act


def test_the_cooldown_names_its_end_and_asks_again_then() -> None:
    recent = run(finished=NOW - timedelta(minutes=50))
    made = state(datasets=[version(), version(2)], runs=[recent])
    decision = decide(facts(made))
    assert decision.reason == "The cooldown after the last run lasts until 2026-01-01 12:10:00 UTC"
    assert decision.again_in == 600
    assert decide(facts(made, later=timedelta(seconds=1))).reason == decision.reason
    assert decide(facts(made, later=timedelta(minutes=10))).act


def test_a_preflight_of_the_future_is_made_again() -> None:
    """The clock went back a day: what was found then holds for no day."""
    made = state(datasets=[version()])
    made.preflight = Preflight(key=facts(made).key, at=NOW + timedelta(days=1), problems=["no quota"])
    assert decide(facts(made)).act


def test_a_preflight_is_made_again_after_five_minutes_or_when_a_person_asks() -> None:
    made = state(datasets=[version()])
    made.preflight = Preflight(key=facts(made).key, at=NOW, problems=["no quota", "no data"])
    decision = decide(facts(made))
    assert (decision.reason, decision.again_in) == ("no quota; no data", 300)
    assert not decide(facts(made, later=timedelta(seconds=299))).act
    assert decide(facts(made, later=timedelta(minutes=5))).act
    made.train_now = Order(at=NOW - timedelta(seconds=1))
    assert not decide(facts(made)).act
    made.train_now = Order(at=NOW + timedelta(seconds=1))
    assert decide(facts(made)).act


def test_however_far_away_the_time_is_it_is_asked_again_within_six_hours() -> None:
    recent = run(finished=NOW)
    made = state(config={"training": {"cooldown_seconds": 86400}}, datasets=[version(), version(2)], runs=[recent])
    assert decide(facts(made)).again_in == 6 * 3600


def test_a_backoff_is_never_longer_than_a_day() -> None:
    failed = run(status="failed", config_hash="config", failure="transient", attempt=9, finished=NOW)
    retries = {"most": 10, "backoff_seconds": 3600}
    made = state(config=policy(retries=retries), datasets=[version()], runs=[failed])
    assert rule(made) == "backoff"
    assert rule(made, later=timedelta(hours=23, minutes=59)) == "backoff"
    assert decide(facts(made, later=timedelta(hours=24))).act


def test_a_class_below_its_floor_holds_the_next_run() -> None:
    lost = version(2, images_per_class={"bolt": 60}, new_since_trained=40)
    made = state(config=QUIET_POLICY, datasets=[version(), lost], runs=[run()])
    assert decide(facts(made)).reason == "class `nut` has 0 of 1"
    assert rule(made) == "class_floor"
    floor = policy(retrain_threshold={"per_class": 0})
    assert decide(facts(state(config=floor, datasets=[version(), lost], runs=[run()]))).act


runs_of_any_kind = st.lists(
    st.builds(
        lambda number, data, status, hashed, ago, hours, machines: run(
            number,
            dataset_version=data,
            status=status,
            config_hash=hashed,
            machines=machines,
            intended=NOW - timedelta(hours=ago),
            started=NOW - timedelta(hours=ago),
            finished=None if status in ("intended", "submitted") else NOW - timedelta(hours=max(ago - hours, 0)),
        ),
        st.integers(1, 50),
        st.integers(1, 4),
        st.sampled_from(["intended", "submitted", "completed", "failed", "canceled"]),
        st.sampled_from(["config", "other"]),
        st.floats(0, 1000),
        st.floats(0, 30),
        st.integers(1, 4),
    ),
    max_size=6,
)
versions = st.lists(
    st.tuples(
        st.integers(0, 80), st.integers(0, 80), st.integers(0, 30), st.sampled_from(["registering", "registered"])
    ),
    max_size=3,
)
policies = st.fixed_dictionaries(
    {
        "cooldown_seconds": st.sampled_from([0, 60, 3600]),
        "max_jobs_per_day": st.integers(0, 5),
        "budget": st.fixed_dictionaries({"gpu_hours_per_month": st.sampled_from([0, 1, 10, 1000])}),
        "first_threshold": st.fixed_dictionaries({"images": st.integers(10, 60), "per_class": st.integers(1, 20)}),
    }
)


@given(runs_of_any_kind, versions, policies, st.booleans())
def test_whatever_the_state_a_run_is_started_only_within_every_rule(
    runs: list[Any], found: list[tuple[int, int, int, str]], training: dict[str, Any], paused: bool
) -> None:
    datasets = [
        version(n, train_images=images, images_per_class={"bolt": images, "nut": nuts}, new_since_trained=new, status=s)
        for n, (images, new, nuts, s) in enumerate(found, 1)
    ]
    made = state(config={"training": training, "paused": paused}, datasets=datasets, runs=runs)
    asked = facts(made)
    before = made.model_dump_json()
    decision = decide(asked)
    assert made.model_dump_json() == before
    assert decision.reason
    assert decision.act is all(r(asked) is None for r in RULES.values())
    if decision.act:
        newest = made.dataset
        assert newest is not None
        assert not paused
        assert not any(r.active for r in runs)
        contents = {d.number: d.content_hash for d in datasets}
        trained = {(contents.get(r.dataset_version), r.config_hash) for r in runs}
        assert (newest.content_hash, "config") not in trained
        whole = gpu_hours(runs, NOW) + asked.estimate.gpu_hours
        assert whole <= training["budget"]["gpu_hours_per_month"]
        assert sum(r.intended > NOW - timedelta(days=1) for r in runs) < training["max_jobs_per_day"]
    else:
        assert decision.again_in is None or decision.again_in >= 1
