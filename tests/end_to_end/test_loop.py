"""The whole loop on real photographs: uploads in, predictions out, nobody presses a button.

Run twice: on a quiet local cloud, and with events thrice, shuffled and a fifth of them lost, while the Functions host
is killed at five random moments. The counts at the end are the same.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import schemas
from tests.support.cards import Photograph, overlap, photographs
from tests.support.cloud_process import CloudProcess, running_cloud
from tests.support.receiver import Receiver, receiving
from tests.support.user import User

CLASSES = ("ace", "jack", "nine")
FIRST, MORE, HELD_OUT = 60, 20, 9
CHAOS = "copies=3,shuffle=5,drop=0.2,seed=1"
KILLS = 5
LOOP = "cards"
CONFIG = b"""
quiet_period_seconds: 4
max_wait_seconds: 120
training:
  first_threshold: {images: 40, per_class: 5}
  retrain_threshold: {new_images: 20, growth: null}
  cooldown_seconds: 0
  limits: {max_trials: 2, max_concurrent_trials: 1, timeout_minutes: 30, trial_timeout_minutes: 15}
  early_termination: null
  parameters: {number_of_epochs: 7}
  search_space:
    - {model_name: [yolov5], learning_rate: [0.002, 0.004]}
  sampling: grid
"""

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(900)]


@contextmanager
def killing(cloud: CloudProcess, seed: int, spared: threading.Lock) -> Iterator[list[float]]:
    """Kill the host at random moments, five times, while the block runs, but not while somebody has the lock."""
    moments, over, killed = random.Random(seed), threading.Event(), list[float]()

    def kill() -> None:
        while len(killed) < KILLS:
            pause = moments.uniform(4, 26)
            if over.wait(pause):
                return
            with spared:
                try:
                    cloud.kill_host()
                except (OSError, ValueError):
                    continue  # it is just being restarted
            killed.append(pause)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
        thread.join(300)
    finally:
        over.set()
        thread.join()


@contextmanager
def answering(user: User, spared: threading.Lock) -> Iterator[None]:
    """A host that answers until the end of the block: what is asked in it is asked but once."""
    with spared:
        user.wait("an answer", lambda _: True, 120)
        yield


def kinds(user: User) -> Counter[str]:
    return Counter(e["type"].removeprefix("visionloop.") for e in user.timeline())


def parents(cloud: CloudProcess) -> list[str]:
    """Names of the jobs that Azure ML has, without trials, through the real SDK."""
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    found = cloud.environment
    client = MLClient(
        DefaultAzureCredential(),
        found["VISIONLOOP_SUBSCRIPTION_ID"],
        found["VISIONLOOP_RESOURCE_GROUP"],
        found["VISIONLOOP_WORKSPACE"],
    )
    return sorted(str(job.name) for job in client.jobs.list())


def finds(user: User, photo: Photograph) -> bool:
    """Whether the right label is found in the right place."""
    found = user.predict(photo.image.read_bytes())["predictions"]
    boxes = [tuple(p["box"][k] for k in ("x1", "y1", "x2", "y2")) for p in found if p["label"] == photo.name]
    return any(overlap(box, truth) >= 0.5 for box in boxes for truth in photo.boxes)


def settled(status: dict[str, Any], versions: int) -> bool:
    """The newest of so many versions is trained on, and its rollout is over."""
    runs = status["runs"]
    outcomes = {"promoted", "rejected", "failed"}
    return len(status["datasets"]) >= versions and len(runs) >= versions and runs[-1]["rollout"] in outcomes


@pytest.mark.parametrize("chaos", [False, True], ids=["quiet", "chaos"])
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_the_loop_closes(tmp_path: Path, chaos: bool) -> None:
    photos = photographs("train", CLASSES)
    first, more = photos[:FIRST], photos[FIRST : FIRST + MORE]
    held_out = photographs("test", CLASSES)[:HELD_OUT]
    capture = tmp_path / "capture.jsonl"
    environment = {"VISIONLOOP_ALLOW_LOCAL_WEBHOOKS": "true", "VISIONLOOP_EMULATOR_CAPTURE": str(capture)}
    arguments = ["--chaos", CHAOS] if chaos else []
    with running_cloud(tmp_path / "cloud", *arguments, environment=environment) as cloud, receiving() as receiver:
        user = User(cloud, LOOP)
        receiver.secret = user.post("/webhooks", json={"url": receiver.url}).json()["secret"]
        spared = threading.Lock()
        if chaos:
            with killing(cloud, seed=7, spared=spared) as killed:
                run(user, cloud, receiver, first, more, held_out, spared)
            assert len(killed) == KILLS
        else:
            run(user, cloud, receiver, first, more, held_out, spared)
        user.close()
    if not chaos:
        schemas.check(capture)


def run(
    user: User,
    cloud: CloudProcess,
    receiver: Receiver,
    first: list[Photograph],
    more: list[Photograph],
    held_out: list[Photograph],
    spared: threading.Lock,
) -> None:
    user.upload("loop.yaml", CONFIG)
    user.upload_photographs(first)
    status = user.wait("the first champion", lambda s: bool(s["champion"]) and settled(s, 1), 360)
    assert len(status["datasets"]) == 1
    assert len(parents(cloud)) == 1
    assert status["champion"]["run"] == 1
    assert status["champion"]["model"] == {"name": f"vl-{LOOP}", "version": "1"}
    with answering(user, spared):
        assert sum(finds(user, photo) for photo in held_out) > len(held_out) / 2

    user.upload_photographs(more)
    status = user.wait("the second run's rollout", lambda s: settled(s, 2), 360)
    with answering(user, spared):
        check_counts(status, user, cloud)
        told = {e["id"] for e in user.timeline()}
    check_webhooks(user, receiver, told)


def check_counts(status: dict[str, Any], user: User, cloud: CloudProcess) -> None:
    assert [d["number"] for d in status["datasets"]] == [1, 2]
    assert [r["dataset_version"] for r in status["runs"]] == [1, 2]
    assert parents(cloud) == sorted(r["job"] for r in status["runs"])
    outcome = status["runs"][-1]["rollout"]
    assert outcome in {"promoted", "rejected"}
    assert status["champion"]["run"] == (2 if outcome == "promoted" else 1)
    user.told(f"rollout.{outcome}")
    counts = kinds(user)
    assert counts["dataset.registered"] == counts["training.started"] == counts["model.registered"] == 2
    assert counts["rollout.promoted"] + counts["rollout.rejected"] == 2
    decision = next(e for e in user.timeline() if e["type"] == f"visionloop.rollout.{outcome}")
    assert len([word for word in decision["data"]["reason"].split() if word.strip("(),;").startswith("0.")]) >= 2, (
        decision
    )


def check_webhooks(user: User, receiver: Receiver, told: set[str]) -> None:
    user.wait("every event's delivery", lambda _: told <= receiver.ids(), 180)
    assert receiver.forged == []
    assert {"dataset.registered", "training.started", "training.completed", "rollout.promoted"} <= receiver.kinds()
