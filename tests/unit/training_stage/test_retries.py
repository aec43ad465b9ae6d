"""Runs that failed: which are repeated, when, how often, and never two jobs of one attempt."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.cloud.ports.training import TrialError
from services.state import Order
from services.training.stage import TrainingStage
from tests.support.stages import World, killed_everywhere, state, version

PREEMPTED = "Nodes of this job got pre-empted"
METRICS = {"mean_average_precision": 0.62}


def world(**training: Any) -> World:
    settings = {"cooldown_seconds": 0, "retries": {"backoff_seconds": 600}, **training}
    return World([TrainingStage()], state(config={"training": settings}, datasets=[version()]))


def fail(w: World, message: str = PREEMPTED, *codes: str) -> None:
    w.wake()
    w.fake.workspace.finish(w.fake.workspace.submissions[-1], error=message, codes=codes or ("UserError",))
    w.wake()


def jobs(w: World) -> int:
    assert len(set(w.fake.workspace.submissions)) == len(w.fake.workspace.submissions)
    return len(w.fake.workspace.submissions)


def test_what_passes_is_repeated_after_a_backoff_under_another_name() -> None:
    w = world()
    fail(w)
    failed = w.state.runs[0]
    assert (failed.failure, failed.attempt) == ("transient", 1)
    ends = w.fake.clock() + timedelta(seconds=600)
    said = f"attempt 2 of 3 begins at {ends:%Y-%m-%d %H:%M:%S} UTC"
    assert said in w.state.reasons["training"]
    w.fake.clock.advance(31)
    w.wake()
    assert w.state.next_wake == ends
    w.fake.clock.advance(568)
    w.wake()
    assert jobs(w) == 1
    w.fake.clock.advance(2)
    w.wakes(2)
    assert jobs(w) == 2
    assert [r.attempt for r in w.state.runs] == [1, 2]
    assert w.state.runs[1].reason.startswith("Attempt 2 of 3 after run 1, which failed in a way that passes")


def test_each_backoff_is_twice_the_last_and_the_attempts_end() -> None:
    w = world()
    for wait in (600, 1200):
        fail(w)
        w.fake.clock.advance(wait - 2)
        w.wake()
        before = jobs(w)
        w.fake.clock.advance(3)
        w.wake()
        assert jobs(w) == before + 1
    fail(w)
    w.wakes(3, every=90000)
    assert jobs(w) == 3
    assert "was trained with these settings by run 3 (failed" in w.state.reasons["training"]


@pytest.mark.parametrize(
    ("message", "kind"),
    [("JobNodeCountExceedsCoreQuota", "quota"), ("AllocationFailed", "capacity"), ("bad mltable", "bad_data"),
     ("exit code 1", "user_script"), ("hm", "user_script")],
)  # fmt: skip
def test_other_failures_are_told_with_help_and_not_repeated(message: str, kind: str) -> None:
    w = world()
    fail(w, message)
    w.wakes(3, every=90000)
    assert jobs(w) == 1
    failed = w.state.runs[0]
    assert failed.failure == kind
    told = next(e.data for e in w.events if e.type == "visionloop.training.failed")
    assert (told["failure"], told["help"]) == (kind, failed.help)
    assert failed.help in told["reason"]


def cancelled_at_its_limit(w: World) -> None:
    """As Azure ML does after `timeout_minutes`."""
    job, now = w.fake.workspace.submissions[-1], w.fake.clock()
    begun = now - timedelta(minutes=30, seconds=2)
    w.fake.workspace.jobs[job] = replace(
        w.fake.workspace.jobs[job], status="Canceled", phase="canceled", started=begun, ended=now
    )


def test_a_job_that_azure_ml_cancels_at_its_limit_failed_and_is_not_repeated() -> None:
    w = world(limits={"timeout_minutes": 30})
    w.wakes(2)
    cancelled_at_its_limit(w)
    w.wakes(3, every=90000)
    failed = w.state.runs[0]
    assert (failed.status, failed.failure, failed.gpu_hours) == ("failed", "timeout", pytest.approx(1.0, abs=0.01))
    assert failed.reason == "The job was cancelled by Azure ML at its limit of 30 minutes (training.limits)"
    assert "training.limits.timeout_minutes" in failed.help
    assert [e.type for e in w.events].count("visionloop.training.failed") == 1
    assert jobs(w) == 1


def test_a_person_who_cancels_at_the_limit_cancelled_it() -> None:
    w = world(limits={"timeout_minutes": 30})
    w.wakes(2)
    w.edit(lambda s: setattr(s.runs[0], "cancel", Order(by="Ada", at=w.fake.clock())))
    cancelled_at_its_limit(w)
    w.wake()
    assert (w.state.runs[0].status, w.state.runs[0].failure) == ("canceled", "cancelled")


def test_a_parent_that_says_completed_though_every_trial_failed_is_a_failure() -> None:
    w = world()
    w.wake()
    job = w.fake.workspace.submissions[0]
    w.fake.workspace.errors[job] = [TrialError(f"{job}_HD_0", ("UserError", "InvalidData"), "image 7 is broken")]
    w.fake.workspace.finish(job)
    w.wake()
    failed = w.state.runs[0]
    assert (failed.status, failed.failure) == ("failed", "bad_data")
    assert failed.reason == f"The job says Completed, but no trial of it did: trial {job}_HD_0: image 7 is broken"


def test_a_job_deleted_in_azure_ml_is_not_repeated() -> None:
    w = world()
    w.wakes(2)
    del w.fake.workspace.jobs[w.fake.workspace.submissions[0]]
    w.wakes(3, every=90000)
    assert w.state.runs[0].failure == "deleted"
    assert jobs(w) == 1


def test_a_cap_holds_a_repetition_too() -> None:
    w = world(max_jobs_per_day=1)
    fail(w)
    w.wakes(2, every=700)
    assert jobs(w) == 1
    assert "1 of 1 training runs were started" in w.state.reasons["training"]


def test_without_retries_nothing_is_repeated() -> None:
    w = world(retries={"most": 0})
    fail(w)
    w.wakes(3, every=90000)
    assert jobs(w) == 1


def test_new_labels_end_the_repetition_of_the_old() -> None:
    w = world()
    fail(w)
    w.edit(lambda s: s.datasets.append(version(2)))
    w.wakes(2)
    assert jobs(w) == 2
    assert (w.state.runs[1].dataset_version, w.state.runs[1].attempt) == (2, 1)


def test_killed_anywhere_each_attempt_is_one_job() -> None:
    def course(w: World) -> None:
        w.wakes(2)
        for job in w.fake.workspace.submissions[:1]:
            w.fake.workspace.finish(job, error=PREEMPTED, codes=("UserError",))
        w.wakes(2)
        w.fake.clock.advance(601)
        w.wakes(2)

    calm = world()
    for number, w in killed_everywhere(calm, world, course):
        course(w)
        assert jobs(w) == jobs(calm) == 2, f"killed at call {number}"
        assert [r.attempt for r in w.state.runs] == [1, 2]
