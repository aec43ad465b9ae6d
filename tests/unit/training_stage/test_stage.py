from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.cloud.ports.training import JobView
from services.errors import NotFound, Upstream, UpstreamBusy, UpstreamRefused
from services.state import LoopState, Order
from services.status.progress import doing
from services.training.stage import TrainingStage
from tests.support.stages import LOOP, NOW, World, killed_everywhere, run, state, version

METRICS = {"mean_average_precision": 0.62}


def world(first: LoopState | None = None) -> World:
    return World([TrainingStage()], first or state(datasets=[version()]))


def active(w: World) -> str:
    found = w.state.active_run
    assert found is not None
    return found.job


def test_a_run_goes_from_threshold_to_registered_model() -> None:
    w = world()
    w.wake()
    job = active(w)
    assert w.fake.workspace.submissions == [job]
    assert w.fake.workspace.computes["gpu-cluster"].max_nodes == 2
    assert w.state.runs[0].status == "submitted"
    assert w.state.next_wake == w.fake.clock() + timedelta(seconds=30)
    w.fake.workspace.finish(job, METRICS)
    w.wakes(2)
    done = w.state.runs[0]
    assert (done.status, done.rollout, done.metrics, done.best_child) == (
        "completed",
        "pending",
        METRICS,
        f"{job}_HD_0",
    )
    assert done.model is not None
    assert (done.model.name, done.model.version) == ("vl-nuts", "1")
    assert w.fake.workspace.models == {("vl-nuts", "1"): f"{job}_HD_0"}
    assert w.kinds[:3] == ["training.started", "training.completed", "model.registered"]
    assert w.events[0].data["reason"].startswith("40 labelled images (20 needed)")
    assert "mean_average_precision 0.620" in w.events[1].data["reason"]


def test_a_run_is_the_measure_of_the_next_on_as_many_images() -> None:
    w = world()
    w.wake()
    w.fake.clock.advance(3600)
    w.fake.workspace.finish(active(w), METRICS)
    w.wakes(2)
    w.edit(lambda s: s.datasets.append(version(2, train_images=72, content_hash="other", new_since_trained=40)))
    w.fake.clock.advance(24 * 3600)
    w.wake()
    first, second = w.state.runs
    assert (first.images, second.images, first.pace == second.pace != "") == (40, 80, True)
    assert second.estimated_gpu_hours == pytest.approx(2 * 2, rel=0.1)


def test_a_run_notes_what_it_cost_and_tells_it() -> None:
    w = world()
    w.wake()
    begun = w.state.runs[0]
    assert (begun.machines, begun.gpus, begun.price_per_gpu_hour, begun.estimated_gpu_hours) == (2, 1, 0.526, 8.0)
    assert w.events[0].data["estimated_gpu_hours"] == 8.0
    assert w.events[0].data["estimated_cost"] == pytest.approx(8 * 0.526)
    w.fake.clock.advance(1800)
    w.fake.workspace.finish(active(w), METRICS)
    w.wake()
    done = w.state.runs[0]
    assert (done.gpu_hours, done.cost) == (1.0, pytest.approx(0.526))
    completed = next(e for e in w.events if e.type == "visionloop.training.completed")
    assert (completed.data["gpu_hours"], completed.data["cost"], completed.data["currency"]) == (1.0, done.cost, "USD")
    assert completed.data["reason"].endswith("1.00 GPU hours at most, 0.53 USD")


def test_a_run_under_way_is_looked_at_and_changes_nothing() -> None:
    w = world()
    w.wakes(2)
    stored = w.fake.system.blobs[f"state/{LOOP}.json"].etag
    w.edit(lambda s: setattr(s, "next_wake", None))
    w.wakes(5)
    assert w.fake.workspace.submissions == [active(w)]
    assert w.state.runs[0].phase == "Running"
    assert stored != ""
    assert w.kinds == ["training.started"]


def test_holding_is_told_once_a_reason() -> None:
    w = world(state(config={"training": {"first_threshold": {"images": 50}}}, datasets=[version()]))
    w.wakes(3)
    assert w.kinds == ["training.held"]
    assert w.events[0].data["reason"] == "40 of 50 labelled images"
    assert w.state.reasons["training"] == "40 of 50 labelled images"
    w.edit(lambda s: s.datasets.append(version(2, train_images=40)))
    w.wakes(2)
    assert [e.data["reason"] for e in w.events] == ["40 of 50 labelled images", "48 of 50 labelled images"]


def test_the_ordinary_course_is_shown_and_not_told() -> None:
    w = world(state())
    w.wakes(2)
    assert w.state.reasons["training"] == "No dataset version is registered yet; 0 of 20 labelled images"
    assert w.kinds == []


def test_a_cooldown_asks_to_be_looked_at_when_it_ends() -> None:
    w = world(state(datasets=[version(), version(2)], runs=[run(finished=NOW - timedelta(minutes=50))]))
    w.wake()
    assert w.state.next_wake == NOW + timedelta(minutes=10)
    w.fake.clock.advance(601)
    w.wake()
    assert len(w.fake.workspace.submissions) == 1
    assert w.state.runs[-1].number == 2


def test_settings_that_do_not_fit_the_task_hold_with_their_place() -> None:
    w = world(state(config={"training": {"parameters": {"weighted_loss": 1}}}, datasets=[version()]))
    w.wakes(2)
    assert w.kinds == ["training.held"]
    assert w.events[0].data["reason"].startswith("loop.yaml, training.parameters.weighted_loss: expected a parameter")
    assert w.fake.workspace.submissions == []


def end_failed(w: World, job: str) -> None:
    w.fake.workspace.finish(job, error="(UserError) out of memory")


def end_canceled(w: World, job: str) -> None:
    w.fake.workspace.jobs[job] = replace(w.fake.workspace.jobs[job], status="Canceled", phase="canceled")


def end_without_a_trial(w: World, job: str) -> None:
    w.fake.workspace.finish(job)


def vanish(w: World, job: str) -> None:
    del w.fake.workspace.jobs[job]


@pytest.mark.parametrize(
    ("end", "status", "reason"),
    [
        (end_failed, "failed", "The job ended as Failed: (UserError) out of memory"),
        (end_canceled, "canceled", "Training run 1 was cancelled in Azure ML, not by Visionloop"),
        (end_without_a_trial, "failed", "The job says Completed, but no trial of it did"),
        (vanish, "failed", "is no longer in Azure ML"),
    ],
)
def test_a_job_that_yields_no_model_fails_the_run_and_is_never_repeated(
    end: Callable[[World, str], None], status: str, reason: str
) -> None:
    w = world()
    w.wakes(2)
    job = active(w)
    end(w, job)
    w.wakes(3, every=4000)
    failed = w.state.runs[0]
    assert (failed.status, failed.model, failed.rollout) == (status, None, "")
    assert reason in failed.reason
    assert w.kinds[:2] == ["training.started", f"training.{status}"]
    assert w.kinds.count(f"training.{status}") == 1
    assert w.fake.workspace.submissions == [job]
    assert "was trained with these settings by run 1" in w.state.reasons["training"]


def waiting(w: World) -> None:
    job = active(w)
    w.fake.workspace.jobs[job] = replace(w.fake.workspace.jobs[job], status="Queued", phase="waiting")


def test_a_job_that_waits_long_for_a_machine_says_why_once() -> None:
    w = world()
    w.wake()
    waiting(w)
    w.fake.workspace.starving["gpu-cluster"] = "AllocationFailed: none left in this region"
    w.wakes(3, every=500)
    assert "training.waiting" not in w.kinds
    w.wakes(3, every=500)
    [told] = [e.data for e in w.events if e.type == "visionloop.training.waiting"]
    assert told["reason"] == (
        "Training run 1 has waited for a machine of gpu-cluster since 2026-01-01 12:00 UTC: "
        "AllocationFailed: none left in this region"
    )
    assert told["failure"] == "capacity"
    assert doing(w.state) == told["reason"]
    job = active(w)
    w.fake.workspace.jobs[job] = replace(w.fake.workspace.jobs[job], status="Running", phase="running")
    w.wake()
    assert doing(w.state) == "Training run 1 on dataset version 1: running"


def test_a_cluster_that_gives_no_reason_is_said_to() -> None:
    w = world()
    w.wake()
    waiting(w)
    w.wakes(2, every=2000)
    assert w.state.runs[0].waiting.endswith("UTC: the cluster gives no reason")
    assert "help" not in w.events[-1].data


def test_a_job_that_is_not_visible_yet_is_waited_for() -> None:
    w = world()
    w.wake()
    hidden = w.fake.workspace.jobs.pop(active(w))
    w.wakes(5, every=50)
    assert w.state.runs[0].status == "submitted"
    w.fake.workspace.jobs[hidden.name] = hidden
    w.wake()
    assert w.state.runs[0].phase == "Running"


def test_a_job_that_is_never_visible_has_vanished() -> None:
    w = world()
    w.wake()
    del w.fake.workspace.jobs[active(w)]
    w.wakes(8, every=50)
    assert w.state.runs[0].status == "failed"


def test_a_best_trial_that_is_named_late_is_waited_for() -> None:
    w = world()
    w.wakes(1)
    job = active(w)
    ended = replace(w.fake.workspace.jobs[job], status="Completed", phase="completed", ended=w.fake.clock())
    w.fake.workspace.jobs[job] = ended
    w.wake()
    assert w.state.runs[0].status == "submitted"
    w.fake.workspace.finish(job, METRICS)
    w.wake()
    assert w.state.runs[0].status == "completed"


def test_a_job_that_exists_already_is_adopted() -> None:
    first = world()
    first.wake()
    w = world()
    w.fake.workspace.jobs[active(first)] = first.fake.workspace.jobs[active(first)]
    w.wake()
    assert w.fake.workspace.submissions == []
    assert w.state.runs[0].status == "submitted"


def test_a_model_of_another_trial_under_our_name_fails_the_run_and_the_next_goes_on() -> None:
    w = world()
    w.wake()
    w.fake.workspace.models["vl-nuts", "1"] = "another"
    w.fake.workspace.finish(active(w), METRICS)
    w.wake()
    assert w.state.runs[0].status == "failed"
    assert "could not be registered" in w.state.runs[0].reason
    w.edit(lambda s: s.datasets.append(version(2)))
    w.wakes(2, every=4000)
    assert w.state.runs[1].number == 2
    assert w.state.runs[1].active


class Refusing:
    """Raises at one kind of call until told otherwise."""

    def __init__(self, call: str, error: Exception) -> None:
        self.call, self.error, self.count = call, error, 0

    def __call__(self, call: str) -> None:
        if call == f"before:workspace.{self.call}":
            self.count += 1
            raise self.error


@pytest.mark.parametrize("error", [Upstream("500"), UpstreamBusy("429", retry_after=7.0), NotFound("no data yet")])
def test_a_submission_that_fails_is_tried_again(error: Exception) -> None:
    w = world()
    w.fake.on_call = Refusing("submit", error)
    w.wakes(3)
    assert w.state.runs[0].status == "intended"
    assert w.kinds == ["loop.error"]
    w.fake.on_call = lambda _: None
    w.wake()
    assert w.state.runs[0].status == "submitted"
    assert len(w.fake.workspace.submissions) == 1


@pytest.mark.parametrize(
    ("error", "minutes", "kind"),
    [
        (Upstream("500"), 65, "transient"),
        (UpstreamRefused("exceeds the quota"), 10, "quota"),
        (NotFound("nothing"), 10, "unknown"),
    ],
)
def test_a_submission_that_keeps_failing_is_given_up(error: Exception, minutes: int, kind: str) -> None:
    w = world()
    w.fake.on_call = Refusing("ensure_compute", error)
    w.wakes(minutes - 1, every=60)
    assert w.state.runs[0].status == "intended"
    w.wakes(3, every=60)
    failed = w.state.runs[0]
    assert failed.status == "failed"
    assert failed.reason == f"Azure ML did not take the job: {error}"
    assert w.kinds.count("training.failed") == 1
    w.fake.on_call = lambda _: None
    assert failed.failure == kind
    w.wakes(3, every=4000)
    assert len(w.fake.workspace.submissions) == (1 if kind == "transient" else 0)


def test_a_job_that_shows_after_its_submission_was_given_up_is_no_reason_for_a_second_one() -> None:
    w = world()
    w.fake.on_call = Refusing("ensure_compute", Upstream("no answer in time"))
    w.wakes(62, every=60)
    assert w.state.runs[0].waiting == "Azure ML did not take the job: no answer in time"
    w.fake.on_call = lambda _: None
    job = w.state.runs[0].job
    w.fake.workspace.jobs[job] = JobView(job, "Running", "running")
    w.wakes(3, every=4000)
    assert [(r.job, r.status, r.waiting) for r in w.state.runs] == [(job, "submitted", "")]
    assert w.fake.workspace.submissions == []


def test_a_cancellation_waits_too_for_a_job_that_may_still_show() -> None:
    w = world()
    w.fake.on_call = Refusing("ensure_compute", Upstream("no answer in time"))
    w.wakes(62, every=60)
    w.fake.on_call = lambda _: None
    w.edit(lambda s: setattr(s.runs[0], "cancel", Order(by="Ada", at=w.fake.clock())))
    w.wake()
    job = w.state.runs[0].job
    w.fake.workspace.jobs[job] = JobView(job, "Running", "running")
    w.wakes(2)
    assert w.fake.workspace.jobs[job].phase == "canceled"
    assert w.state.runs[0].status == "canceled"


def test_a_run_whose_job_exists_is_not_given_up_for_a_failing_call() -> None:
    w = world()
    w.dying_at(_index_of(w, "after:workspace.submit"), w.wake)
    w.fake.on_call = Refusing("ensure_compute", UpstreamRefused("no"))
    w.wakes(15, every=60)
    assert w.state.runs[0].status == "intended"
    w.fake.on_call = lambda _: None
    w.wake()
    assert w.state.runs[0].status == "submitted"
    assert len(w.fake.workspace.submissions) == 1


def _index_of(w: World, call: str) -> int:
    other, seen = world(), list[str]()
    other.fake.on_call = seen.append
    other.wake()
    return seen.index(call)


def test_settings_changed_before_the_submission_withdraw_the_run() -> None:
    w = world()
    w.dying_at(_index_of(w, "before:workspace.submit"), w.wake)
    old = w.state.runs[0].job
    new = state(config={"training": {"parameters": {"number_of_epochs": 3}}}).config
    w.edit(lambda s: setattr(s, "config", new))
    w.wakes(2)
    assert active(w) == old, "a job that was submitted a moment ago may only not be visible yet"
    w.fake.clock.advance(300)
    w.wakes(2)
    assert [r.number for r in w.state.runs] == [1]
    assert w.fake.workspace.submissions == [active(w)]
    assert active(w) != old


def test_settings_changed_after_the_submission_adopt_the_job() -> None:
    w = world()
    w.dying_at(_index_of(w, "after:workspace.submit"), w.wake)
    new = state(config={"training": {"parameters": {"number_of_epochs": 3}}}).config
    w.edit(lambda s: setattr(s, "config", new))
    w.wakes(2)
    assert w.state.runs[0].status == "submitted"
    assert w.fake.workspace.submissions == [active(w)]


@pytest.mark.parametrize(("phase", "hours"), [("waiting", 0.0), ("running", 6.0)])
def test_a_job_that_is_cancelled_costs_the_time_that_it_ran_not_that_it_waited(phase: Any, hours: float) -> None:
    w = world()
    w.wake()
    job = active(w)
    w.fake.workspace.jobs[job] = replace(w.fake.workspace.jobs[job], phase=phase, status="Odd")
    w.wake()
    w.fake.clock.advance(3 * 3600)
    w.fake.workspace.cancel(job)
    w.wake()
    ended = w.state.runs[0]
    assert (ended.status, ended.gpu_hours) == ("canceled", pytest.approx(hours, abs=0.1))


@pytest.mark.parametrize("config", [{"training": {"parameters": {"number_of_epochs": 3}}}, {"paused": True}])
def test_a_job_that_shows_late_is_adopted_though_settings_changed_meanwhile(config: dict[str, Any]) -> None:
    """Azure took the job, its answer was lost, and for a while the job is not shown: it must not be paid unfollowed."""
    w = world()
    w.dying_at(_index_of(w, "after:workspace.submit"), w.wake)
    taken = dict(w.fake.workspace.jobs)
    w.fake.workspace.jobs.clear()
    w.edit(lambda s: setattr(s, "config", state(config=config).config))
    w.wakes(2)
    w.fake.workspace.jobs |= taken
    w.wakes(12)
    assert [(r.status, r.job) for r in w.state.runs] == [("submitted", *taken)]
    assert w.fake.workspace.submissions == [*taken]


def course(w: World) -> None:
    """From the threshold to the model, with whatever wakes it takes."""
    w.wakes(2)
    for job in w.fake.workspace.submissions:
        w.fake.workspace.finish(job, METRICS)
    w.wakes(2)


def outcome(w: World) -> dict[str, Any]:
    last = w.state.runs[-1]
    return {
        "submissions": w.fake.workspace.submissions,
        "models": w.fake.workspace.models,
        "runs": [(r.number, r.job, r.status, r.rollout, r.model, r.metrics) for r in w.state.runs],
        "kinds": [k for k in w.kinds if k != "loop.error"],
        "ids": len({e.id for e in w.events}) == len(w.events),
        "reason": last.reason.partition("; ")[0],
    }


def test_killed_at_any_outside_call_there_is_one_job_and_one_model() -> None:
    calm = world()
    for number, w in killed_everywhere(calm, world, course):
        assert outcome(w) == outcome(calm), f"killed at call {number}"
    assert len(calm.fake.workspace.submissions) == 1
