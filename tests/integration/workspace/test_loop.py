"""Training and rollout from the threshold to the champion, and a second model, on the emulator with the real adapters.

The requests that this makes are checked against Microsoft's published schemas of the API.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from services.cloud.ml import AzureWorkspace
from services.cloud.ports import TableAsset
from services.cloud.scoring import EndpointScorer
from services.context import Cloud
from services.rollout.stage import RolloutStage
from services.settings import Settings
from services.state import LoopState
from services.training.stage import TrainingStage
from tests.integration.workspace.conftest import FOLDER, IMAGES, LABEL, image
from tests.support.azure_ml_process import AzureML
from tests.support.stages import World, jsonl, state, version

pytestmark = pytest.mark.filterwarnings("ignore")  # azure-ai-ml's own deprecations


@pytest.fixture(scope="module")
def world(workspace: AzureWorkspace, settings: Settings) -> World:
    for side in ("train", "validation"):
        workspace.register_table(TableAsset(f"loop-{side}", "1", f"{FOLDER}{side}"))
    first = version(
        folder=FOLDER,
        train_asset="loop-train:1",
        validation_asset="loop-validation:1",
        classes=["cat"],
        images_per_class={"cat": 40},
    )
    training = {"cooldown_seconds": 0, "limits": {"max_trials": 2, "max_concurrent_trials": 2}}
    made = World([TrainingStage(), RolloutStage()], state(config={"training": training}, datasets=[first]))
    made.cloud = Cloud(
        settings, made.fake.data, made.fake.system, workspace, EndpointScorer(), lambda: datetime.now(UTC)
    )
    for number, name in enumerate(IMAGES):
        made.fake.data.write(name, image(number))
    made.fake.system.write(f"{FOLDER}validation/validation_annotations.jsonl", jsonl([(n, [LABEL]) for n in IMAGES]))
    return made


def wake_until(world: World, fits: Callable[[LoopState], object], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not fits(world.state):
        assert time.monotonic() < ends, (world.state.reasons, [e.data for e in world.events][-2:])
        world.wake()
        time.sleep(0.1)


def over(number: int) -> Callable[[LoopState], object]:
    return lambda s: s.rollout is not None and s.rollout.run == number and s.rollout.step == "done"


def test_the_first_model_goes_live(world: World, workspace: AzureWorkspace) -> None:
    wake_until(world, over(1))
    champion = world.state.champion
    assert champion is not None
    assert (champion.run, champion.slot, champion.score) == (1, "blue", pytest.approx(1.0))
    view = workspace.endpoint(champion.endpoint)
    assert view is not None
    assert view.traffic == {"blue": 100}
    assert world.kinds == [
        "training.started",
        "training.completed",
        "model.registered",
        "rollout.started",
        "rollout.evaluated",
        "rollout.promoted",
    ]
    finished = world.state.runs[0]
    assert finished.started is not None
    assert finished.finished is not None
    assert finished.started <= finished.finished
    assert finished.metrics["mean_average_precision"] > 0


def test_a_second_model_that_is_only_as_good_is_rejected(world: World, workspace: AzureWorkspace) -> None:
    again = version(
        2,
        folder=FOLDER,
        train_asset="loop-train:1",
        validation_asset="loop-validation:1",
        classes=["cat"],
        images_per_class={"cat": 60},
        new_since_trained=20,
    )
    world.edit(lambda s: s.datasets.append(again))
    wake_until(world, over(2))
    champion = world.state.champion
    assert champion is not None
    assert champion.run == 1
    assert world.state.run(2).rollout == "rejected"
    rejected = next(e for e in world.events if e.type == "visionloop.rollout.rejected")
    assert "challenger 1.0000, champion 1.0000, +0.0000" in rejected.data["reason"]
    view = workspace.endpoint(champion.endpoint)
    assert view is not None
    assert view.traffic == {"blue": 100}
    assert workspace.deployment(champion.endpoint, "green") is None


def test_a_deployment_that_fails_leaves_the_champion(
    world: World, workspace: AzureWorkspace, emulator: AzureML
) -> None:
    fault = {"kind": "fail_deployment", "path": ".*", "times": 5, "message": "No capacity"}
    emulator.request("POST", "/emulator/faults", fault)
    third = version(
        3,
        folder=FOLDER,
        train_asset="loop-train:1",
        validation_asset="loop-validation:1",
        classes=["cat"],
        images_per_class={"cat": 90},
        new_since_trained=30,
    )
    world.edit(lambda s: s.datasets.append(third))
    try:
        wake_until(world, over(3))
    finally:
        emulator.request("DELETE", "/emulator/faults")
    assert world.state.run(3).rollout == "failed"
    failed = next(e for e in world.events if e.type == "visionloop.rollout.failed")
    assert "could not be deployed to slot green in 2 attempts" in failed.data["reason"]
    champion = world.state.champion
    assert champion is not None
    assert champion.run == 1
    view = workspace.endpoint(champion.endpoint)
    assert view is not None
    assert view.traffic == {"blue": 100}
