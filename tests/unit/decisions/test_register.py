from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.decision import Decision
from services.decisions.register import RULES, Facts, decide, facts_of
from services.loop_config import LoopConfig
from services.state import CatalogueState, DatasetVersion, LoopState, Order

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def catalogue(**changes: Any) -> CatalogueState:
    usual: dict[str, Any] = {
        "images": 30,
        "labelled": 20,
        "train_images": 16,
        "validation_images": 4,
        "task": "object_detection",
        "classes": ["ace"],
        "content_hash": "new",
        "first_change": ago(300),
        "last_change": ago(100),
    }
    return CatalogueState(**(usual | changes))


def version(number: int, content: str) -> DatasetVersion:
    return DatasetVersion(
        number=number,
        content_hash=content,
        status="registered",
        task="object_detection",
        classes=["ace"],
        folder="",
        train_asset="",
        validation_asset="",
        train_images=8,
        validation_images=2,
        annotations_per_class={},
        images_per_class={},
        new_since_trained=0,
        created=NOW,
    )


def facts(*versions: DatasetVersion, now: datetime = NOW, config: LoopConfig | None = None, **changes: Any) -> Facts:
    return Facts(catalogue(**changes), versions, config or LoopConfig(), now)


def test_after_a_quiet_period_a_version_is_made() -> None:
    decision = decide(facts(version(1, "old")))
    assert decision.act
    assert decision.facts == {}
    assert "20 labelled images" in decision.reason


@pytest.mark.parametrize(
    ("changes", "rule", "reason"),
    [
        ({"images": 0, "labelled": 0}, "nothing_labelled", "There are no images yet"),
        ({"images": 1, "labelled": 0}, "nothing_labelled", "The one image is not labelled yet"),
        (
            {"labelled": 0, "waiting_labels": 5},
            "nothing_labelled",
            "None of 30 images is labelled yet, 5 labels wait for their image",
        ),
        ({"labelled": 1}, "too_few", "1 of 10 labelled images that AutoML asks for"),
        ({"labelled": 9}, "too_few", "9 of 10 labelled images that AutoML asks for"),
        (
            {"validation_images": 0},
            "both_sides",
            "No image is for validation: at least one class needs two labelled images",
        ),
        ({"train_images": 0}, "both_sides", "No image is for training: at least one class needs two labelled images"),
    ],
)
def test_what_is_missing_is_told_and_only_new_facts_help(changes: dict[str, Any], rule: str, reason: str) -> None:
    decision = decide(facts(**changes))
    assert decision == Decision(False, reason, None, {"rule": rule})


@pytest.mark.parametrize("changes", [{"labelled": 10}, {"train_images": 1, "validation_images": 1}])
def test_just_enough_is_enough(changes: dict[str, Any]) -> None:
    labelled = {"labelled": 20, **changes}["labelled"]
    said = f"{labelled} labelled images of 1 class are new as a whole"
    assert decide(facts(**changes)) == Decision(True, said)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ((300, 100), None),
        ((60, 60), None),
        ((59, 59), "12:00:01"),
        ((None, 59), "12:00:01"),  # the first change is not known: the last one counts
        ((None, None), "12:01:00"),  # nor is that
        ((899, 1), "12:00:01"),  # the longest wait, since the first change
        ((900, 1), None),
        ((-7200, 59), "12:00:01"),  # a first change after the last is the clock's fault
    ],
)
def test_uploads_have_to_be_quiet_for_a_minute_or_to_go_on_for_a_quarter_of_an_hour(
    changed: tuple[float | None, float | None], said: str | None
) -> None:
    first, last = (None if seconds is None else ago(seconds) for seconds in changed)
    decision = decide(facts(first_change=first, last_change=last))
    if said is None:
        assert decision.act
        return
    assert decision.reason == f"Uploads may go on: a version is made at {said} UTC unless more is uploaded before"
    assert decision.facts == {"rule": "quiet"}
    assert decision.again_in == (datetime.fromisoformat(f"2026-01-01T{said}+00:00") - NOW).total_seconds()


def test_the_same_content_is_never_a_second_version() -> None:
    decision = decide(facts(version(1, "old"), version(2, "new")))
    assert decision == Decision(False, "Version 2 holds all 10 labelled images", None, {"rule": "nothing_new"})


def test_content_that_returns_makes_its_old_version_current() -> None:
    decision = decide(facts(version(1, "new"), version(2, "other")))
    assert decision == Decision(True, "The labels are those of version 1 again", None, {"reuse": 1})


def test_uploads_that_go_on_are_waited_for() -> None:
    decision = decide(facts(first_change=ago(50), last_change=ago(20)))
    assert not decision.act
    assert decision.again_in == 40
    assert "12:00:40" in decision.reason


def test_but_not_for_longer_than_the_maximum_wait() -> None:
    assert decide(facts(first_change=ago(900), last_change=ago(0))).act
    assert decide(facts(first_change=ago(890), last_change=ago(0))).again_in == 10


def test_without_quiet_period_nothing_waits() -> None:
    assert decide(facts(config=LoopConfig(quiet_period_seconds=0), first_change=NOW, last_change=NOW)).act


def test_a_clock_that_went_back_waits_a_quiet_period_at_most() -> None:
    decision = decide(facts(first_change=ago(-7200), last_change=ago(-3600)))
    assert decision.again_in == 60


@given(st.lists(st.integers(0, 59), max_size=14), st.integers(60, 300))
def test_a_burst_makes_one_version(gaps: list[int], quiet: int) -> None:
    """Whatever woke us and however often: nothing is made between uploads, one version after the last."""
    config = LoopConfig(quiet_period_seconds=quiet, max_wait_seconds=sum(gaps) + quiet)
    last = NOW
    for gap in gaps:
        for look in range(0, gap, 7):
            seen = facts(now=last + timedelta(seconds=look), config=config, first_change=NOW, last_change=last)
            assert not decide(seen).act
            assert decide(seen).again_in == quiet - look
        last += timedelta(seconds=gap)
    due = last + timedelta(seconds=quiet)
    assert decide(facts(now=due, config=config, first_change=NOW, last_change=last)).act
    made = facts(version(1, "new"), now=due, config=config, first_change=NOW, last_change=last)
    assert not decide(made).act


def test_a_paused_loop_registers_nothing_whatever_was_uploaded() -> None:
    asked = replace(facts(version(1, "old")), paused="The loop is paused by Ada")
    decision = decide(asked)
    assert not decision.act
    assert (decision.reason, decision.facts["rule"], decision.again_in) == ("The loop is paused by Ada", "paused", None)


def test_only_versions_that_are_registered_count_in_a_loop_s_facts() -> None:
    made = LoopState(loop="nuts", created=NOW, catalogue=catalogue(), pause=Order(by="Ada", at=NOW))
    made.datasets = [version(1, "old"), version(2, "new").model_copy(update={"status": "registering"})]
    found = facts_of(made, NOW)
    assert found == Facts(made.catalogue, made.datasets[:1], LoopConfig(), NOW, "The loop is paused by Ada")


def test_the_newest_of_several_versions_with_the_same_content_is_made_current() -> None:
    decision = decide(facts(version(1, "new"), version(2, "new"), version(3, "other")))
    assert decision.facts == {"reuse": 2}


def test_what_would_not_be_registered_anyway_is_promised_for_no_time() -> None:
    """7 of 10 images: that a version is made in a minute would not be true."""
    found = facts(labelled=7, first_change=NOW, last_change=NOW)
    assert [rule for rule, holds in RULES.items() if holds(found)] == ["too_few"]
