"""The same events to a topic of Event Grid: the real azure-eventgrid over HTTPS, against the local cloud's topic."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken

from services.cloud import event_topic
from services.cloud.event_topic import AzureEventTopic
from services.state import Event
from services.webhooks.deliver import Deliverer
from services.webhooks.dispatch import Dispatcher
from services.webhooks.envelope import cloud_event
from services.webhooks.guard import Guard
from services.webhooks.registry import Registry
from services.webhooks.topic import topic_endpoint
from tests.integration.webhooks.test_receivers import World
from tests.support.event_topic import KEY, Topics, running_topics
from tests.support.receiver import receiving
from tests.support.timing import tried_again, within

APP = "https://app.example"
MOST_BYTES = 1024 * 1024


class Given:
    """A credential as azure-identity gives one, with tokens of the local cloud."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        return AccessToken(self._topics.token(scopes[0]), int(time.time()) + 3600)


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topics]:
    with running_topics(tmp_path_factory.mktemp("topics")) as found:
        yield found


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """One of each test's own."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


class TopicWorld(World):
    """A world whose settings name a topic."""

    def __init__(self, address: str, key: str = "") -> None:
        super().__init__()
        self.topic = topic_endpoint(address)
        self.registry = Registry(self.fakes.system, self.fakes.clock, Guard(allow_local=True), self.topic)
        self.dispatcher = Dispatcher(self.registry, self.fakes.deliveries)
        self.deliverer = Deliverer(
            self.fakes.system, self.registry, self.fakes.deliveries, self.sender, self.fakes.clock,
            APP, AzureEventTopic(address, key),
        )  # fmt: skip

    @property
    def log(self) -> list[dict[str, Any]]:
        names = [n for n in self.fakes.system.blobs if n.startswith(f"deliveries/log/{self.topic.id}/")]
        return [json.loads(self.fakes.system.read(name).data) for name in names]


@pytest.mark.parametrize("by", ["key", "identity"])
def test_an_event_arrives_as_it_is_under_its_own_id(
    topics: Topics, topic: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_topic, "credential", lambda: Given(topics))
    world = TopicWorld(topics.address(topic), KEY if by == "key" else "")
    world.tell("training.started", "ü → 😀")
    world.tell("rollout.promoted", "better")
    world.work()
    newest, oldest = topics.published(topic)
    assert (oldest["id"], oldest["type"]) == ("cards-1", "visionloop.training.started")
    assert (newest["id"], newest["type"]) == ("cards-2", "visionloop.rollout.promoted")
    assert oldest["data"] == {"loop": "cards", "reason": "ü → 😀"}
    assert oldest["dataschema"] == f"{APP}/api/schemas/visionloop.training.started"
    assert oldest["subject"] == "cards"
    assert oldest["source"] == "/visionloop/loops/cards"
    assert [(d["state"], [a["status"] for a in d["attempts"]]) for d in world.log] == [("delivered", [200])] * 2


def test_a_delivery_that_is_made_twice_has_one_id(topics: Topics, topic: str) -> None:
    world = TopicWorld(topics.address(topic), KEY)
    world.tell("training.started", "r")
    [(body, _)] = world.fakes.deliveries.sent
    world.work()
    world.deliverer.deliver(body)
    assert len(topics.published(topic)) == 1, "what is in the log is not sent again"
    world.fakes.system.delete(next(n for n in world.fakes.system.blobs if "/log/" in n))
    world.deliverer.deliver(body)
    assert [e["id"] for e in topics.published(topic)] == ["cards-1", "cards-1"], "a reader knows it by its id"


def test_a_wrong_key_is_tried_again_by_the_schedule_and_is_in_no_log(topics: Topics, topic: str) -> None:
    world = TopicWorld(topics.address(topic), "wrong-key-canary")
    world.tell("training.started", "r")
    world.deliverer.deliver(world.fakes.deliveries.sent.pop(0)[0])
    [logged] = world.log
    assert (logged["state"], logged["attempts"][0]["status"]) == ("pending", 401)
    assert "not authorized" in logged["attempts"][0]["answer"]
    assert "canary" not in json.dumps(world.log)
    [(_, delay)] = world.fakes.deliveries.sent
    assert 5 <= delay <= 6
    assert topics.published(topic) == []


def test_what_is_too_large_fails_once_and_for_good(topics: Topics, topic: str) -> None:
    world = TopicWorld(topics.address(topic), KEY)
    world.tell("training.started", "x" * (MOST_BYTES + 1))
    world.work()
    [logged] = world.log
    assert (logged["state"], logged["reason"]) == ("failed", "the topic does not take it: 413")
    assert len(logged["attempts"]) == 1


@tried_again
def test_a_topic_that_is_dead_slows_nothing_and_gets_it_later(topics: Topics) -> None:
    with closing(socket.socket()) as nobody, receiving() as receiver:
        nobody.bind(("127.0.0.1", 0))
        world = TopicWorld(f"https://127.0.0.1:{nobody.getsockname()[1]}/api/events", "k")
        receiver.secret = world.registry.add({"url": receiver.url}).secret
        with within(1):
            for _ in range(5):
                world.tell("training.started", "r")
        for _ in range(10):
            world.deliverer.deliver(world.fakes.deliveries.sent.pop(0)[0])
        assert len(receiver.ids()) == 5
    assert {(d["state"], d["attempts"][0]["status"]) for d in world.log} == {("pending", 0)}
    assert len(world.fakes.deliveries.sent) == 5


@tried_again
def test_a_topic_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECT_SECONDS", "READ_SECONDS"):
        monkeypatch.setattr(event_topic, name, 0.3)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        topic = AzureEventTopic(f"https://127.0.0.1:{silent.getsockname()[1]}/api/events", "k")
        with within(3):
            status, said, _ = topic.publish(EVENT)
    assert status == 0
    assert said.startswith("no answer")


EVENT = {
    "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "x", "time": "2026-01-01T12:00:00Z", "data": {},
}  # fmt: skip


class TestTheLocalTopic:
    """It refuses what Azure refuses."""

    def post(self, topics: Topics, topic: str, body: bytes, **headers: str) -> httpx.Response:
        named = {"aeg-sas-key": KEY, **{k.replace("_", "-"): v for k, v in headers.items()}}
        sent = {k: v for k, v in named.items() if v}
        return httpx.post(topics.address(topic), content=body, headers=sent, timeout=60)

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"7", b'["x"]', json.dumps({**EVENT, "specversion": "0.3"}).encode(),
         json.dumps([EVENT, {**EVENT, "id": ""}]).encode(), json.dumps({**EVENT, "source": None}).encode(),
         json.dumps({**EVENT, "time": "yesterday"}).encode(),
         json.dumps({"id": "1", "subject": "x", "eventType": "t", "data": {}, "dataVersion": "1"}).encode()],
    )  # fmt: skip
    def test_what_is_no_cloud_event(self, topics: Topics, topic: str, body: bytes) -> None:
        answer = self.post(topics, topic, body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "400"
        assert topics.published(topic) == []

    @pytest.mark.parametrize(
        "headers",
        [{"aeg_sas_key": "wrong"}, {"aeg_sas_key": ""}, {"aeg_sas_key": "", "authorization": "Bearer a.b.c"},
         {"aeg_sas_key": "", "authorization": "Basic x"}],
    )  # fmt: skip
    def test_who_may_not(self, topics: Topics, topic: str, headers: dict[str, str]) -> None:
        answer = self.post(topics, topic, json.dumps(EVENT).encode(), **headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "401")

    def test_a_token_for_something_else(self, topics: Topics, topic: str) -> None:
        bearer = f"Bearer {topics.token('https://management.azure.com')}"
        answer = self.post(topics, topic, json.dumps(EVENT).encode(), aeg_sas_key="", authorization=bearer)
        assert answer.status_code == 401

    def test_what_is_too_large(self, topics: Topics, topic: str) -> None:
        fits = json.dumps({**EVENT, "data": ""}).encode()
        large = json.dumps({**EVENT, "data": "x" * (MOST_BYTES - len(fits))}).encode()
        assert self.post(topics, topic, large).status_code == 200
        answer = self.post(topics, topic, large + b" ")
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "413")


def test_what_is_published_is_what_webhooks_are_sent(topics: Topics, topic: str) -> None:
    world = TopicWorld(topics.address(topic), KEY)
    world.tell("training.started", "r")
    [event] = (json.loads(body)["event"] for body, _ in world.fakes.deliveries.sent)
    world.work()
    [found] = topics.published(topic)
    expected = cloud_event(Event.model_validate(event), APP)
    assert {**found, "time": ""} == {**expected, "time": ""}
