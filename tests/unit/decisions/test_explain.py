from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions import register, train
from services.decisions.explain import explain
from services.decisions.explanation import Explanation
from services.decisions.rollout import candidates
from services.decisions.train_facts import Facts
from services.state import (
    Approval,
    CatalogueState,
    LoopState,
    ModelRef,
    Order,
    Rollout,
    RolloutStep,
    Watched,
)
from tests.support.predictions import champion
from tests.support.stages import NOW, run, state, version
from tests.unit.decisions.test_train import policies, runs_of_any_kind, versions


def parts(made: LoopState) -> dict[str, Explanation]:
    registered = [v for v in made.datasets if v.status == "registered"]
    registration = register.Facts(made.catalogue, registered, made.config.config, NOW)
    return {p.part: p for p in explain(registration, Facts(made, "config", NOW))}


def says(part: Explanation) -> list[str]:
    return list(part.sentences())


def rolling(**changes: Any) -> Rollout:
    fields: dict[str, Any] = {
        "run": 2,
        "model": ModelRef(name="vl-nuts", version="2"),
        "dataset_version": 1,
        "endpoint": "vl-nuts",
        "slot": "green",
        "step": "evaluate",
        "started": NOW,
        "step_started": NOW,
        "holdout_images": 40,
    }
    return Rollout(**fields | changes)


def test_training_says_by_how_much_it_is_short_of_everything() -> None:
    short = version(train_images=30, validation_images=7, images_per_class={"bolt": 33, "nut": 4})
    config = {"training": {"first_threshold": {"images": 50}, "max_jobs_per_day": 0}}
    found = parts(state(config=config, datasets=[short]))["training"]
    assert says(found) == [
        "Training: No training run would start now",
        "  - 37 of 50 labelled images; class `nut` has 4 of 5",
        "  - 0 of 0 training runs were started in the last 24 hours: max_jobs_per_day is 0",
    ]
    assert found.missing[0].rule == "first_threshold"
    assert found.missing[0].numbers == {"have": 37, "needed": 50, "classes": {"nut": 4}, "per_class": 5}


def test_training_that_would_start_says_why() -> None:
    found = parts(state(datasets=[version()]))["training"]
    assert says(found) == [
        (
            "Training: 40 labelled images (20 needed), at least 5 of every class: dataset version 1 is trained; "
            "about 8.00 GPU hours, price unknown (4.00 h, the job's time-out, times 2 machines of 1 GPU)"
        )
    ]


def test_a_loop_with_nothing_new_does_not_wait_for_uploads_to_end() -> None:
    made = state(datasets=[version()])
    made.catalogue = CatalogueState(
        images=40, labelled=40, train_images=32, validation_images=8, content_hash="content-1"
    )
    found = parts(made)["registration"]
    assert says(found)[1:] == ["  - Version 1 holds all 40 labelled images"]
    assert found.again_in is None


def test_what_time_alone_changes_says_when() -> None:
    made = state(datasets=[version(), version(2)], runs=[run(finished=NOW - timedelta(minutes=50))])
    assert parts(made)["training"].again_in == 600


def test_a_new_loop_lacks_everything() -> None:
    found = parts(state())
    assert [line for part in found.values() for line in says(part)] == [
        "Registration: No dataset version would be registered now",
        "  - There are no images yet",
        "  - 0 of 10 labelled images that AutoML asks for",
        "  - No image is for training: at least one class needs two labelled images",
        "Training: No training run would start now",
        "  - No dataset version is registered yet; 0 of 20 labelled images",
        "Promotion: A first model needs the primary metric above 0",
        "  - No challenger is measured",
        "Rollout: No rollout would start now",
        "  - No model waits to be rolled out",
    ]


def test_a_waiting_model_would_be_rolled_out_unless_the_loop_is_paused() -> None:
    waiting = run(2, rollout="pending", model=ModelRef(name="vl-nuts", version="2"))
    found = parts(state(datasets=[version()], runs=[waiting]))["rollout"]
    assert found.says == "The model of run 2 would be deployed as the first model"
    held = parts(state(config={"paused": True}, datasets=[version()], runs=[waiting]))["rollout"]
    assert [m.rule for m in held.missing] == ["paused"]


def test_a_challenger_that_is_not_measured_yet_says_how_far_it_is() -> None:
    made = state(datasets=[version()])
    made.rollout, made.champion = rolling(evaluated={"green": 12}), champion()
    found = parts(made)
    assert found["promotion"].missing[0].reason == "Run 2 has answered 12 of 40 holdout images (step evaluate)"
    assert found["promotion"].says.startswith("A challenger has to beat run 1 in ")
    assert found["rollout"].says == "Run 2 is rolled out in slot green: evaluate"


def test_the_decision_s_own_words_are_the_explanation_of_a_promotion() -> None:
    made = state(datasets=[version()])
    made.rollout, made.champion = rolling(step="shift", decision="map: challenger 0.9, champion 0.8"), champion()
    found = parts(made)["promotion"]
    assert found.acts
    assert found.says == "map: challenger 0.9, champion 0.8"


def test_a_rollout_that_waits_for_a_yes_says_until_when() -> None:
    made = state(datasets=[version()])
    asked = Approval(id="a", asked=NOW, expires=NOW + timedelta(hours=72))
    made.rollout = rolling(step="approve", decision="better", approval=asked)
    found = parts(made)
    for part in ("promotion", "rollout"):
        assert [m.reason for m in found[part].missing] == [
            "Somebody's yes to run 2 is waited for until 2026-01-04 12:00 UTC"
        ]


def test_a_canary_says_its_share_how_long_it_is_watched_and_how_it_does() -> None:
    made = state(config={"rollout": {"canary": [10, 50]}}, datasets=[version()])
    made.champion = champion()
    watched = {"green": Watched(requests=30, errors=1, p95_ms=80), "blue": Watched(requests=300)}
    made.rollout = rolling(step="canary", decision="better", share=10, watched_since=NOW, watched=watched)
    [waits] = parts(made)["rollout"].missing
    assert waits.reason.startswith("10 % of the predictions go to run 2 until 12:10:00 UTC; 30 requests, 1 failed")
    made.rollout.held = Order(by="Ada", why="lunch", at=NOW)
    assert next(m.reason for m in parts(made)["rollout"].missing) == "The traffic is held by Ada: lunch"


@pytest.mark.parametrize("step", [s for s in get_args(RolloutStep) if s != "done"])
def test_every_step_of_a_rollout_says_what_it_waits_for(step: RolloutStep) -> None:
    made = state(datasets=[version()])
    made.rollout = rolling(step=step)
    found = parts(made)["rollout"]
    assert [m for m in found.missing if len(m.reason) > 20]


@given(
    st.lists(st.sampled_from(["", "pending", "promoted", "superseded"]), max_size=4),
    st.none() | st.sampled_from(get_args(RolloutStep)),
    st.booleans(),
    st.booleans(),
)
def test_a_rollout_begins_if_and_only_if_the_explanation_lacks_nothing(
    waiting: list[Any], step: Any, paused: bool, has_champion: bool
) -> None:
    runs = [run(n, rollout=how, model=ModelRef(name="m", version=str(n))) for n, how in enumerate(waiting, 1)]
    made = state(config={"paused": paused}, datasets=[version()], runs=runs)
    made.champion = champion() if has_champion else None
    made.rollout = rolling(step=step) if step else None
    assert parts(made)["rollout"].acts is (candidates(made).next is not None)


catalogues = st.builds(
    lambda images, labelled, train_images, content, ago: CatalogueState(
        images=images,
        labelled=labelled,
        train_images=train_images,
        validation_images=max(0, labelled - train_images),
        content_hash=content,
        classes=["bolt", "nut"],
        last_change=NOW - timedelta(seconds=ago),
    ),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 40),
    st.sampled_from(["content-1", "content-2", "new"]),
    st.integers(0, 200),
)


@given(catalogues, runs_of_any_kind, versions, policies, st.booleans())
def test_a_decision_acts_if_and_only_if_the_explanation_lacks_nothing(
    catalogue: CatalogueState, runs: list[Any], found: list[Any], training: dict[str, Any], paused: bool
) -> None:
    datasets = [
        version(n, train_images=images, images_per_class={"bolt": images, "nut": nuts}, new_since_trained=new, status=s)
        for n, (images, new, nuts, s) in enumerate(found, 1)
    ]
    made = state(config={"training": training, "paused": paused}, datasets=datasets, runs=runs)
    made.catalogue = catalogue
    registered = [v for v in datasets if v.status == "registered"]
    asked = register.Facts(catalogue, registered, made.config.config, NOW), Facts(made, "config", NOW)
    by_name = {p.part: p for p in explain(*asked)}
    for part, decision in (("registration", register.decide(asked[0])), ("training", train.decide(asked[1]))):
        explained = by_name[part]
        assert decision.act is explained.acts is (not explained.missing)
        if not decision.act:
            assert explained.missing[0].reason == decision.reason
            assert explained.missing[0].rule == decision.facts["rule"]


def test_a_run_that_was_asked_for_and_is_held_is_not_forgotten() -> None:
    made = state(config={"training": {"budget": {"gpu_hours_per_month": 0}}}, datasets=[version()])
    made.train_now = Order(by="Ada", why="lunch", at=NOW)
    found = parts(made)["training"]
    assert not found.acts
    assert found.says == (
        "No training run would start now; one was asked for by Ada: lunch at 2026-01-01 12:00 UTC, "
        "and starts once nothing holds it"
    )
