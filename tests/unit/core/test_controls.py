"""People's commands, from the request over the kept blob to their effect, against lost wakes, repetition and death."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.cloud.fakes import FakeQueue
from services.commands import Commands
from services.control_stage import ControlStage
from services.controls import Controls
from services.errors import BadRequest, Conflict, NotFound, Upstream
from services.state import LoopState
from services.training.stage import TrainingStage
from services.wake import Waker
from tests.support.stages import LOOP, World, killed_everywhere, run, state, version

METRICS = {"mean_average_precision": 0.62}
ADA = b'{"by": "Ada", "why": "new camera"}'


def world(first: LoopState | None = None) -> World:
    return World([ControlStage(), TrainingStage()], first or state(datasets=[version(train_images=8)]))


def controls(w: World, queue: FakeQueue | None = None) -> Controls:
    waker = Waker(queue or w.fake.wakes, w.fake.clock, 1)
    return Controls(w.states, Commands(w.fake.system), waker, w.fake.clock)


def below_threshold(**config: Any) -> LoopState:
    return state(config=config, datasets=[version(train_images=8)])


def test_train_now_skips_the_threshold_and_says_who_asked() -> None:
    w = world(below_threshold())
    w.wake()
    assert w.fake.workspace.submissions == []
    answer = controls(w).train(LOOP, ADA)
    assert answer["would_start"] is True
    assert answer["says"] == "A training run was asked for by Ada: new camera: dataset version 1 is trained"
    w.wake()
    assert len(w.fake.workspace.submissions) == 1
    assert w.state.train_now is None
    told = {e.type.removeprefix("visionloop."): e.data for e in w.events}
    assert told["training.requested"]["by"] == "Ada"
    assert "A training run was asked for by Ada: new camera" in told["training.started"]["reason"]


def test_a_command_is_carried_out_once_however_often_the_loop_is_looked_at() -> None:
    w = world(below_threshold())
    controls(w).train(LOOP, ADA)
    w.wakes(4)
    assert w.kinds.count("training.requested") == 1


def test_asking_wakes_the_loop() -> None:
    w, queue = world(), FakeQueue()
    controls(w, queue).train(LOOP, b"")
    assert len(queue.sent) == 1


@pytest.mark.parametrize("between", ["nothing", "a wake", "the end of the run"])
def test_asking_twice_is_one_job(between: str) -> None:
    w = world(below_threshold())
    controls(w).train(LOOP, b"")
    if between != "nothing":
        w.wake()
    if between == "the end of the run":
        w.fake.workspace.finish(w.fake.workspace.submissions[0], METRICS)
        w.wake()
    controls(w).train(LOOP, b"")
    w.wakes(3, every=90000)
    assert len(w.fake.workspace.submissions) == 1
    assert w.state.train_now is None
    if between == "a wake":
        assert "is under way already" in w.events[-1].data["reason"]
    if between == "the end of the run":
        assert "was trained with these settings by run 1" in w.events[-1].data["reason"]


def test_a_cap_holds_a_request_until_it_opens() -> None:
    first = state(config={"training": {"max_jobs_per_day": 1}}, datasets=[version(), version(2)], runs=[run()])
    w = world(first)
    w.edit(lambda s: setattr(s.runs[0], "intended", w.fake.clock()))
    answer = controls(w).train(LOOP, b"")
    assert answer["would_start"] is False
    assert "1 of 1 training runs were started in the last 24 hours" in answer["says"]
    w.wake()
    assert w.fake.workspace.submissions == []
    w.fake.clock.advance(86401)
    w.wake()
    assert len(w.fake.workspace.submissions) == 1


def test_a_request_while_another_version_trains_waits_for_its_end() -> None:
    w = world(state(config={"training": {"cooldown_seconds": 0}}, datasets=[version()]))
    w.wake()
    w.edit(lambda s: s.datasets.append(version(2, new_since_trained=1)))
    controls(w).train(LOOP, b"")
    w.wake()
    assert len(w.fake.workspace.submissions) == 1
    w.fake.workspace.finish(w.fake.workspace.submissions[0], METRICS)
    w.wakes(2)
    assert len(w.fake.workspace.submissions) == 2


def test_a_failed_run_is_repeated_only_where_asked_again_and_under_another_name() -> None:
    w = world(state(datasets=[version()]))
    w.wake()
    w.fake.workspace.finish(w.fake.workspace.submissions[0], error="no such bird")
    w.wake()
    controls(w).train(LOOP, b"")
    w.wakes(2)
    assert len(w.fake.workspace.submissions) == 1
    controls(w).train(LOOP, b'{"again": true}')
    controls(w).train(LOOP, b'{"again": true}')
    w.wakes(2)
    assert len(set(w.fake.workspace.submissions)) == 2
    assert [r.attempt for r in w.state.runs] == [1, 2]


def test_a_request_that_was_served_before_it_was_read_repeats_nothing() -> None:
    w = world(state(datasets=[version()]))
    controls(w).train(LOOP, b'{"again": true}')
    late = w.fake.system.blobs.pop(f"commands/{LOOP}/train.json")
    w.fake.clock.advance(60)
    w.wake()
    w.fake.workspace.finish(w.fake.workspace.submissions[0], error="no such bird")
    w.wake()
    w.fake.system.blobs[f"commands/{LOOP}/train.json"] = late
    w.wakes(2)
    assert len(w.fake.workspace.submissions) == 1
    assert "was begun since, and failed" in next(e for e in w.events if "requested" in e.type).data["reason"]


def test_a_paused_loop_starts_nothing_and_follows_what_runs() -> None:
    w = world(state(config={"training": {"cooldown_seconds": 0}}, datasets=[version()]))
    w.wake()
    controls(w).pause(LOOP, ADA)
    w.wake()
    w.fake.workspace.finish(w.fake.workspace.submissions[0], METRICS)
    w.edit(lambda s: s.datasets.append(version(2)))
    w.wakes(2)
    assert w.state.runs[0].status == "completed"
    assert len(w.fake.workspace.submissions) == 1
    assert w.state.reasons["training"] == "The loop is paused by Ada: new camera"
    controls(w).resume(LOOP, b"")
    w.wake()
    assert len(w.fake.workspace.submissions) == 2
    assert [k for k in w.kinds if k.startswith("loop.")] == ["loop.paused", "loop.resumed"]


def test_a_pause_before_the_submission_keeps_the_job_from_being_made() -> None:
    w = world(below_threshold())
    controls(w).train(LOOP, ADA)
    w.fake.on_call = refusing("before:workspace.submit")
    w.wake()
    assert w.state.runs[0].status == "intended"
    job = w.state.runs[0].job
    controls(w).pause(LOOP, b"")
    w.fake.on_call = lambda _: None
    w.wakes(2, every=180)
    assert w.fake.workspace.submissions == []
    w.wake()
    assert w.state.runs == []
    controls(w).resume(LOOP, b"")
    w.wake()
    assert w.fake.workspace.submissions == [job]
    assert "asked for by Ada" in w.state.runs[0].reason


def test_a_run_that_was_just_submitted_and_is_not_visible_yet_is_cancelled_once_it_is() -> None:
    w = world(state(datasets=[version()]))
    w.fake.on_call = refusing("after:workspace.submit")
    w.wake()
    job = w.fake.workspace.submissions[0]
    hidden = w.fake.workspace.jobs.pop(job)
    w.fake.on_call = lambda _: None
    controls(w).cancel(LOOP, "1", b"")
    w.wakes(2)
    assert w.state.runs[0].active
    w.fake.workspace.jobs[job] = hidden
    w.wakes(3)
    assert w.fake.workspace.jobs[job].phase == "canceled"
    assert w.state.runs[0].status == "canceled"


def refusing(at: str) -> Callable[[str], None]:
    def hook(call: str) -> None:
        if call == at:
            raise Upstream("500")

    return hook


def test_of_pause_and_resume_the_newest_holds_whatever_was_woken() -> None:
    w = world()
    controls(w).pause(LOOP, b"")
    controls(w).resume(LOOP, b"")
    w.wakes(2)
    assert w.state.pause is None
    assert not [k for k in w.kinds if k.startswith("loop.")]


def test_a_resume_says_that_loop_yaml_still_pauses() -> None:
    w = world(state(config={"paused": True}))
    assert "loop.yaml" in controls(w).resume(LOOP, b"")["says"]


def test_a_cancelled_run_is_cancelled_in_azure_ml_and_not_started_again() -> None:
    w = world(state(config={"training": {"cooldown_seconds": 0}}, datasets=[version()]))
    w.wake()
    job = w.fake.workspace.submissions[0]
    controls(w).cancel(LOOP, "1", ADA)
    w.wakes(3)
    assert w.fake.workspace.jobs[job].phase == "canceled"
    assert w.state.runs[0].status == "canceled"
    assert w.state.runs[0].reason == "Training run 1 was cancelled by Ada: new camera"
    assert [k for k in w.kinds if "cancel" in k] == ["training.canceling", "training.canceled"]
    w.wakes(3, every=90000)
    assert w.fake.workspace.submissions == [job]


def test_a_run_cancelled_outside_is_followed() -> None:
    w = world(state(datasets=[version()]))
    w.wake()
    w.fake.workspace.cancel(w.fake.workspace.submissions[0])
    w.wake()
    assert w.state.runs[0].reason == "Training run 1 was cancelled in Azure ML, not by Visionloop"
    assert w.kinds[:2] == ["training.started", "training.canceled"]


def test_a_run_cancelled_before_its_submission_never_becomes_a_job() -> None:
    w = world(state(datasets=[version()], runs=[run(status="intended", submitted=None, finished=None)]))
    controls(w).cancel(LOOP, "1", b"")
    w.wake()
    assert w.fake.workspace.submissions == []
    assert w.state.runs[0].status == "canceled"


def test_a_run_cancelled_after_an_unnoted_submission_is_cancelled_all_the_same() -> None:
    w = world(state(datasets=[version()]))
    calls: list[str] = []
    other = world(state(datasets=[version()]))
    other.fake.on_call = calls.append
    other.wake()
    w.dying_at(calls.index("after:workspace.submit"), w.wake)
    controls(w).cancel(LOOP, "1", b"")
    w.wakes(2)
    assert w.fake.workspace.jobs[w.fake.workspace.submissions[0]].phase == "canceled"
    assert w.state.runs[0].status == "canceled"


def test_what_cannot_be_cancelled_is_said() -> None:
    w = world(state(datasets=[version()], runs=[run()]))
    with pytest.raises(Conflict, match="has ended already: completed"):
        controls(w).cancel(LOOP, "1", b"")
    with pytest.raises(NotFound):
        controls(w).cancel(LOOP, "7", b"")
    with pytest.raises(NotFound):
        controls(w).pause("nobody", b"")


@pytest.mark.parametrize("body", [b"[", b"[]", b'{"bye": 1}', b'{"by": 7}', b'{"why": "a\\nb"}', b"x" * 9000])
def test_a_wrong_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        controls(world()).pause(LOOP, body)


def test_killed_anywhere_a_command_has_its_effect_once() -> None:
    def course(w: World) -> None:
        controls(w).train(LOOP, ADA)
        controls(w).pause(LOOP, ADA)
        w.wake()
        controls(w).resume(LOOP, b"")
        w.wakes(2)

    def fresh() -> World:
        return world(below_threshold())

    for number, w in killed_everywhere(fresh(), fresh, course):
        w.wakes(2)
        assert len(w.fake.workspace.submissions) == 1, f"killed at call {number}"
        assert len({e.id for e in w.events}) == len(w.events)
