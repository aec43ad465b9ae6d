"""The topic of the settings is one receiver more: told of everything, with attempts of its own, changed nowhere else."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from services.cloud.fakes import fake_settings
from services.errors import ConfigError, Conflict
from services.settings import read_settings
from services.webhooks.deliver import Deliverer
from services.webhooks.dispatch import Dispatcher
from services.webhooks.guard import Guard
from services.webhooks.log import LogRetention
from services.webhooks.registry import Registry
from services.webhooks.replay import Replay
from services.webhooks.schedule import MOST_ATTEMPTS
from services.webhooks.topic import topic_endpoint
from tests.unit.core.test_settings import GOOD
from tests.unit.webhooks.test_deliver import APP, World

ADDRESS = "https://events.westeurope-1.eventgrid.azure.net/api/events"
KEY = "topic-key-canary"
Said = tuple[int, str, float | None]


class TopicWorld(World):
    """With a topic that answers as told, then well."""

    def __init__(self, *answers: Said) -> None:
        super().__init__()
        self.said, self.published = [*answers], list[dict[str, Any]]()
        self.topic = topic_endpoint(ADDRESS)
        guard = Guard(allow_local=False, resolve=lambda host, port: ["8.8.8.8"])
        self.registry = Registry(self.fakes.system, self.fakes.clock, guard, self.topic)
        self.dispatcher = Dispatcher(self.registry, self.queue)
        parts = (self.fakes.system, self.registry, self.queue, self.send, self.fakes.clock)
        self.deliverer = Deliverer(*parts, APP, self)
        self.console._registry, self.console._dispatcher = self.registry, self.dispatcher

    def publish(self, event: dict[str, Any]) -> Said:
        self.published.append(event)
        return self.said.pop(0) if self.said else (200, "", None)

    @property
    def topic_log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.console.deliveries(self.topic.id)["deliveries"]
        return found


def test_topic_and_receivers_are_told_of_the_same() -> None:
    world = TopicWorld()
    world.dispatcher.dispatch([world.event(1), world.event(2)])
    world.work()
    assert world.published == [json.loads(body) for _, _, body in world.posted]
    assert [e["id"] for e in world.published] == ["cards-1", "cards-2"]
    assert {d["state"] for d in world.topic_log} == {"delivered"}


def test_it_has_attempts_of_its_own() -> None:
    world = TopicWorld((503, "busy", 90.0), (0, "no answer", None))
    world.dispatcher.dispatch([world.event()])
    delays = world.work()
    assert delays[:3] == [0, 0, 90]
    assert 300 <= delays[3] <= 330
    assert [a["status"] for a in world.topic_log[0]["attempts"]] == [503, 0, 200]
    assert len(world.posted) == 1


@pytest.mark.parametrize("status", [400, 413])
def test_what_it_will_never_take_is_not_tried_again(status: int) -> None:
    world = TopicWorld((status, "no", None))
    world.dispatcher.dispatch([world.event()])
    world.work()
    assert (world.topic_log[0]["state"], len(world.published)) == ("failed", 1)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_an_administrator_can_mend_is_and_it_is_never_disabled(status: int) -> None:
    world = TopicWorld(*[(status, "no", None)] * 20)
    world.dispatcher.dispatch([world.event()])
    world.work()
    assert len(world.published) == MOST_ATTEMPTS
    assert world.registry.get(world.topic.id).enabled
    assert world.topic_log[0]["state"] == "failed"
    world.said.clear()
    kept = LogRetention(world.fakes.system, 30, world.fakes.clock)
    replay = Replay(world.fakes.system, world.registry, world.queue, None, list, world.fakes.clock, kept)  # type: ignore[arg-type]
    replay.one(world.topic.id, world.topic_log[0]["id"])
    world.work()
    assert world.topic_log[0]["state"] == "delivered"


def test_it_is_listed_and_tested_but_changed_by_the_settings_only() -> None:
    world = TopicWorld()
    shown, other = world.console.list()["webhooks"]
    assert (shown["kind"], shown["url"], shown["enabled"]) == ("event_grid", ADDRESS, True)
    assert other["kind"] == "webhook"
    world.console.test(shown["id"])
    world.work()
    assert [e["type"] for e in world.published] == ["visionloop.webhook.test"]
    for change in (
        lambda: world.console.update(shown["id"], b'{"enabled": false}'),
        lambda: world.console.rotate(shown["id"]),
        lambda: world.console.remove(shown["id"]),
    ):
        with pytest.raises(Conflict, match="app's settings"):
            change()
    assert ADDRESS not in world.fakes.system.read("deliveries/endpoints.json").data.decode()


def test_once_the_settings_name_none_what_waits_is_dropped() -> None:
    world = TopicWorld()
    world.dispatcher.dispatch([world.event()])
    body, _ = world.take()
    guard = Guard(allow_local=False, resolve=lambda host, port: ["8.8.8.8"])
    without = Registry(world.fakes.system, world.fakes.clock, guard)
    Deliverer(world.fakes.system, without, world.queue, world.send, world.fakes.clock).deliver(body)
    assert world.published == []


def test_another_address_is_another_receiver() -> None:
    assert topic_endpoint(ADDRESS).id == topic_endpoint(ADDRESS).id
    assert topic_endpoint(ADDRESS).id != topic_endpoint(ADDRESS.replace("events.", "other.")).id


def test_its_key_is_not_shown_with_the_settings() -> None:
    named = {"VISIONLOOP_EVENT_TOPIC_ENDPOINT": ADDRESS, "VISIONLOOP_EVENT_TOPIC_KEY": KEY}
    found = read_settings({**GOOD, **named})
    assert found.event_topic_key.get_secret_value() == KEY
    assert KEY not in repr(found) + str(found) + found.model_dump_json()
    assert fake_settings().event_topic_endpoint == ""


@pytest.mark.parametrize("address", ["http://events.example/api/events", "events", "https://", "https://a/?key=1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="VISIONLOOP_EVENT_TOPIC_ENDPOINT"):
        read_settings({**GOOD, "VISIONLOOP_EVENT_TOPIC_ENDPOINT": address})


def test_a_slow_topic_takes_no_more_places_than_a_receiver() -> None:
    world = TopicWorld()
    world.dispatcher.dispatch([world.event(n) for n in range(3)])
    for _ in range(2):
        assert world.deliverer._lanes.enter(world.topic.id) == 0
    world.deliverer.deliver(world.queue.sent.pop(0)[0])
    assert world.published == []
    assert world.queue.sent[-1][1] >= timedelta(seconds=1).total_seconds()
