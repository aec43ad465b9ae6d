"""Training and rollout from the threshold to the champion, and a second model, on the emulator with the real adapters.

The requests that this makes are checked against Microsoft's published schemas of the API.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.cloud.ml import AzureWorkspace
from services.cloud.ports.training import TableAsset
from services.cloud.scoring import EndpointScorer
from services.commands import Asked, Commands, command
from services.context import Cloud
from services.control_stage import ControlStage
from services.decisions.decision import Decision
from services.loop_config import LoopConfig
from services.names import activity_blob
from services.rollout.guard import GuardStage
from services.rollout.idle import IdleStage
from services.rollout.stage import RolloutStage
from services.settings import Settings
from services.state import Guard, LoopState
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
    made = World(
        [ControlStage(), TrainingStage(), RolloutStage(), GuardStage(), IdleStage()],
        state(config={"training": training}, datasets=[first]),
    )
    made.cloud = Cloud(
        settings, made.fake.data, made.fake.system, workspace, EndpointScorer(), lambda: datetime.now(UTC)
    )
    for number, name in enumerate(IMAGES):
        made.fake.data.write(name, image(number))
    made.fake.system.write(f"{FOLDER}validation/validation_annotations.jsonl", jsonl([(n, [LABEL]) for n in IMAGES]))
    return made


def wake_until(world: World, fits: Callable[[LoopState], object], seconds: float = 120) -> None:
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


def configure(world: World, **parts: Any) -> None:
    """Change parts of loop.yaml."""

    def change(loop: LoopState) -> None:
        written = loop.config.config.model_dump(exclude_unset=True)
        loop.config = loop.config.model_copy(update={"config": LoopConfig.model_validate({**written, **parts})})

    world.edit(change)


def traffic(world: World, workspace: AzureWorkspace) -> dict[str, int]:
    champion = world.state.champion
    assert champion is not None
    view = workspace.endpoint(champion.endpoint)
    assert view is not None
    return dict(view.traffic)


def test_a_share_of_the_traffic_then_all_and_back_within_the_window(
    world: World, workspace: AzureWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "services.rollout.trial.promote.decide", lambda *_, **__: Decision(True, "better, as far as this test goes")
    )
    configure(world, rollout={"canary": [20], "bake_seconds": 1, "rollback_window_minutes": 10})
    world.edit(lambda s: setattr(s.run(2), "rollout", "pending"))
    wake_until(world, lambda s: s.rollout is not None and s.rollout.share == 20)
    assert traffic(world, workspace) == {"blue": 80, "green": 20}
    wake_until(world, lambda s: s.rollout is not None and s.rollout.step == "keep")
    assert traffic(world, workspace) == {"green": 100}
    assert world.state.champion is not None
    assert world.state.champion.run == 2
    asked = command("rollback", Asked(by="Ada"), datetime.now(UTC), 2)
    Commands(world.fake.system).put(world.state.loop, asked)
    wake_until(world, over(2))
    assert traffic(world, workspace) == {"blue": 100}
    assert world.state.champion.run == 1
    assert workspace.deployment(world.state.champion.endpoint, "green") is None
    assert world.kinds[-3:] == ["rollout.promoted", "rollout.ordered", "rollout.rolled_back"]


def test_an_endpoint_that_nobody_asks_rests_and_wakes(world: World, workspace: AzureWorkspace) -> None:
    champion = world.state.champion
    assert champion is not None
    configure(world, endpoint={"idle_after_hours": 1})
    world.edit(lambda s: setattr(s, "awake_since", datetime.now(UTC) - timedelta(hours=2)))
    wake_until(world, lambda s: s.resting is not None and s.resting.phase == "asleep")
    assert workspace.deployment(champion.endpoint, champion.slot) is None
    assert traffic(world, workspace) == {}
    noted = json.dumps({"last": datetime.now(UTC).isoformat()}).encode()
    world.fake.system.write(activity_blob(world.state.loop), noted)
    wake_until(world, lambda s: s.resting is None)
    assert traffic(world, workspace) == {champion.slot: 100}
    [answer] = EndpointScorer().score(champion.scoring_uri, champion.slot, [image(1)], deadline=60)
    assert answer["boxes"]


@pytest.mark.parametrize("what", ["slot", "endpoint"])
def test_what_somebody_deletes_comes_back(world: World, workspace: AzureWorkspace, what: str) -> None:
    champion, client = world.state.champion, workspace._client
    assert champion is not None
    configure(world, endpoint={})
    if what == "slot":
        workspace.begin_traffic(champion.endpoint, {})
        client.online_deployments.begin_delete(champion.slot, champion.endpoint).result()
    else:
        client.online_endpoints.begin_delete(champion.endpoint).result()
    assert workspace.deployment(champion.endpoint, champion.slot) is None
    world.edit(lambda s: setattr(s, "guard", Guard()))  # a quarter of an hour later
    told = len(world.kinds)
    wake_until(world, lambda s: "endpoint.restored" in world.kinds[told:])
    lost, restored = world.events[-2:]
    assert (lost.type, lost.data["trouble"], lost.data["repairs"]) == ("visionloop.endpoint.lost", "gone", True)
    assert restored.data["run"] == champion.run
    assert world.state.champion == champion
    assert traffic(world, workspace) == {champion.slot: 100}
    view = workspace.endpoint(champion.endpoint)
    assert view is not None
    assert view.owner == world.state.loop
    [answer] = EndpointScorer().score(champion.scoring_uri, champion.slot, [image(1)], deadline=60)
    assert answer["boxes"]


def test_a_slot_is_given_more_and_fewer_machines(world: World, workspace: AzureWorkspace) -> None:
    champion = world.state.champion
    assert champion is not None
    for machines in (3, 1):
        workspace.begin_scale(champion.endpoint, champion.slot, machines)
        found = workspace._client.online_deployments.get(champion.slot, champion.endpoint)
        assert found.instance_count == machines
    assert traffic(world, workspace) == {champion.slot: 100}
