"""The training policy on the emulator with the real SDK: failures that pass, cancelling, and people's commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.cloud.ml import AzureWorkspace
from services.cloud.ports.training import TableAsset
from services.cloud.scoring import EndpointScorer
from services.commands import Commands
from services.context import Cloud
from services.control_stage import ControlStage
from services.controls import Controls
from services.settings import Settings
from services.state import LoopState
from services.training import follow
from services.training.stage import TrainingStage
from services.wake import Waker
from tests.integration.workspace.conftest import FOLDER
from tests.support.azure_ml_process import AzureML
from tests.support.stages import LOOP, World, run, state, version

pytestmark = pytest.mark.filterwarnings("ignore")  # azure-ai-ml's own deprecations
Make = Callable[..., World]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def make(workspace: AzureWorkspace, settings: Settings, emulator: AzureML) -> Iterator[Make]:
    """Makes a loop whose only dataset version has a content of its own, so that its jobs have names of their own."""

    def made(content: str, images: int = 40, **training: Any) -> World:
        for side in ("train", "validation"):
            workspace.register_table(TableAsset(f"policy-{side}", "1", f"{FOLDER}{side}"))
        only = version(
            content_hash=content,
            folder=FOLDER,
            train_asset="policy-train:1",
            validation_asset="policy-validation:1",
            train_images=images - 4,
            validation_images=4,
        )
        limits = {"max_trials": 2, "max_concurrent_trials": 2}
        config = {"training": {"cooldown_seconds": 0, "limits": limits, **training}}
        found = World([ControlStage(), TrainingStage()], state(config=config, datasets=[only]))
        fake = found.fake
        found.cloud = Cloud(settings, fake.data, fake.system, workspace, EndpointScorer(), now)
        return found

    yield made
    emulator.request("DELETE", "/emulator/faults")


def wake_until(world: World, fits: Callable[[LoopState], object], seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not fits(world.state):
        assert time.monotonic() < ends, (world.state.reasons, [e.data for e in world.events][-2:])
        world.wake()
        time.sleep(0.1)


def ended(count: int) -> Callable[[LoopState], object]:
    return lambda s: len(s.runs) >= count and not s.runs[count - 1].active


def controls(world: World) -> Controls:
    return Controls(world.states, Commands(world.fake.system), Waker(world.fake.wakes, now, 1), now)


def starts(emulator: AzureML, job: str) -> int:
    """How often the emulator really began to train a job."""
    found = (emulator.folder / "azure_ml").rglob(f"*{job}*/starts")
    return sum(len(file.read_text().splitlines()) for file in found)


def test_a_preempted_job_is_repeated_as_a_job_of_its_own(make: Make, emulator: AzureML) -> None:
    fault = {"kind": "fail_job", "path": f"vl-{LOOP}-", "message": "Nodes of this job got pre-empted", "step": "train"}
    emulator.request("POST", "/emulator/faults", fault)
    world = make("preempted", retries={"backoff_seconds": 1})
    wake_until(world, ended(2))
    first, second = world.state.runs
    assert (first.status, first.failure, first.attempt) == ("failed", "transient", 1)
    assert "Nodes of this job got pre-empted" in first.reason
    assert (second.status, second.attempt) == ("completed", 2)
    assert first.job != second.job
    assert [starts(emulator, run.job) for run in (first, second)] == [1, 1]
    assert second.gpu_hours is not None
    assert second.cost is not None
    assert second.gpu_hours > 0
    failed = next(e for e in world.events if e.type == "visionloop.training.failed")
    assert (failed.data["failure"], failed.data["attempt"]) == ("transient", 1)


def test_a_job_without_quota_is_not_repeated(make: Make, emulator: AzureML) -> None:
    fault = {"kind": "fail_job", "path": f"vl-{LOOP}-", "message": "ClusterCoreQuotaReached: 0 of 4 cores", "times": 5}
    emulator.request("POST", "/emulator/faults", fault)
    world = make("no quota", retries={"backoff_seconds": 0})
    wake_until(world, ended(1))
    for _ in range(3):
        world.wake()
    [only] = world.state.runs
    assert (only.status, only.failure) == ("failed", "quota")
    assert "Ask for more quota" in only.help


def test_a_job_that_says_completed_though_its_trials_failed_is_bad_data(
    make: Make, emulator: AzureML, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "TAG_LAG", timedelta())  # else a minute is waited for the best trial's tag
    fault = {"kind": "fail_job", "path": f"vl-{LOOP}-", "message": "image 7 is broken", "step": "trials"}
    emulator.request("POST", "/emulator/faults", fault | {"code": "UserError/InvalidData/BadImage"})
    world = make("all trials failed")
    wake_until(world, ended(1))
    [only] = world.state.runs
    assert (only.status, only.failure) == ("failed", "bad_data")
    assert only.reason.startswith("The job says Completed, but no trial of it did: trial ")
    assert only.reason.endswith("image 7 is broken")


def test_a_job_that_waits_for_quota_says_so_once_and_goes_on(
    make: Make, emulator: AzureML, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LONG_WAIT", timedelta())
    fault = {"kind": "starve_job", "path": f"vl-{LOOP}-", "seconds": 3600, "code": "ClusterCoreQuotaReached"}
    emulator.request("POST", "/emulator/faults", fault | {"message": "0 of 4 cores"})
    world = make("waits")
    world.edit(lambda s: s.runs.append(run(10, status="failed")))  # so that the model has a version of its own
    wake_until(world, lambda _: "training.waiting" in world.kinds)
    world.wakes(2)
    emulator.stop()
    emulator.start()  # which ends the fault, and the job is still in the queue
    wake_until(world, ended(2))
    [told] = [e.data for e in world.events if e.type == "visionloop.training.waiting"]
    assert told["reason"].endswith("UTC: ClusterCoreQuotaReached: 0 of 4 cores")
    assert told["failure"] == "quota"
    assert world.state.runs[1].status == "completed"


def test_a_job_cancelled_outside_is_followed_and_not_repeated(make: Make, workspace: AzureWorkspace) -> None:
    world = make("cancelled outside", parameters={"advanced_settings": '{"pause": 30}'})
    wake_until(world, lambda s: s.active_run and s.active_run.phase == "Running")
    workspace._client.jobs.begin_cancel(world.state.runs[0].job).wait(90)
    wake_until(world, ended(1))
    world.wake()
    [only] = world.state.runs
    assert (only.status, only.failure) == ("canceled", "cancelled")
    assert only.reason == "Training run 1 was cancelled in Azure ML, not by Visionloop"
    assert "training.canceled" in world.kinds


def test_a_run_that_a_person_cancels_ends_in_azure_ml(make: Make, workspace: AzureWorkspace) -> None:
    world = make("cancelled here", parameters={"advanced_settings": '{"pause": 30}'})
    wake_until(world, lambda s: s.active_run and s.active_run.phase == "Running")
    controls(world).cancel(LOOP, "1", b'{"by": "Ada"}')
    wake_until(world, ended(1))
    [only] = world.state.runs
    assert only.reason == "Training run 1 was cancelled by Ada"
    view = workspace.job(only.job)
    assert view is not None
    assert view.phase == "canceled"


def test_train_now_twice_is_one_job(make: Make, emulator: AzureML) -> None:
    world = make("train now", images=12, first_threshold={"images": 50})
    world.wake()
    assert world.state.runs == []
    assert controls(world).train(LOOP, b'{"by": "Ada"}')["would_start"] is True
    controls(world).train(LOOP, b'{"by": "Bob"}')
    world.wake()
    controls(world).train(LOOP, b"")
    wake_until(world, ended(1))
    controls(world).train(LOOP, b"")
    for _ in range(3):
        world.wake()
    [only] = world.state.runs
    assert only.status == "completed", only.reason
    assert starts(emulator, only.job) == 1
    told = [str(e.data["reason"]) for e in world.events if e.type == "visionloop.training.held"]
    assert any("was trained with these settings by run 1 (completed" in reason for reason in told)


def test_a_cluster_without_quota_is_found_before_anything_is_paid(make: Make) -> None:
    world = make("h100", compute={"name": "h100", "size": "Standard_NC40ads_H100_v5"})
    world.wake()
    assert world.state.runs == []
    assert world.events[-1].data["rule"] == "preflight"
    assert "The quota leaves 0 cores of the family StandardNCadsH100v5Family" in world.events[-1].data["reason"]


def test_a_dry_run_asks_azure_for_nothing_that_costs(make: Make, workspace: AzureWorkspace) -> None:
    world = make("dry run", dry_run=True, compute={"name": "never-made"})
    world.wake()
    world.wake()
    [told] = [e.data for e in world.events if e.type == "visionloop.training.dry_run"]
    assert workspace.job(told["job"]) is None
    assert "never-made" not in [c.name for c in workspace._client.compute.list()]
