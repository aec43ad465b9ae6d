"""An event that is longer than a queue takes reaches its receivers all the same."""

from __future__ import annotations

import json

import pytest

from services.cloud.ports.storage import MOST_QUEUE_BYTES
from services.state import Event
from services.webhooks.log import LogRetention
from services.webhooks.receiver import Answer
from services.webhooks.replay import Replay
from tests.unit.webhooks.test_deliver import World

CLASSES = [f"a class with a name of some length, number {n}" for n in range(1500)]


def long_event(world: World) -> Event:
    event = world.event(1)
    return event.model_copy(update={"data": {**event.data, "annotations_per_class": dict.fromkeys(CLASSES, 12)}})


@pytest.fixture
def world() -> World:
    return World(Answer(500), Answer(429), Answer(204))


def test_it_is_delivered_whole_at_every_attempt(world: World) -> None:
    event = long_event(world)
    world.dispatcher.dispatch([event])
    world.dispatcher.dispatch([event])
    world.work()
    bodies = {body for _, _, body in world.posted}
    assert len(world.posted) == 3
    assert [json.loads(body)["data"] for body in bodies] == [event.data]
    assert len(next(iter(bodies))) > MOST_QUEUE_BYTES
    [logged] = world.log
    assert [a["status"] for a in logged["attempts"]] == [500, 429, 204]


def test_it_is_sent_again(world: World) -> None:
    world.answers = []
    world.dispatcher.dispatch([long_event(world)])
    world.work()
    kept = LogRetention(world.fakes.system, 30, world.fakes.clock)
    replay = Replay(world.fakes.system, world.registry, world.queue, None, list, world.fakes.clock, kept)  # type: ignore[arg-type]
    replay.one(world.endpoint.id, world.posted[0][1]["webhook-id"])
    world.work()
    assert world.posted[0][2] == world.posted[1][2]


def test_one_that_is_kept_nowhere_any_more_is_dropped(world: World) -> None:
    world.dispatcher.dispatch([long_event(world)])
    for name in [n for n in world.fakes.system.blobs if n.startswith("deliveries/log/")]:
        world.fakes.system.delete(name)
    world.work()
    assert (world.posted, world.log) == ([], [])
