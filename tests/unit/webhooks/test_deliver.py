from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.cloud.fakes import FakeCloud, FakeQueue
from services.errors import BadRequest, NotFound, Upstream
from services.state import Event
from services.webhooks.console import Console
from services.webhooks.deliver import STORAGE_SECONDS, Deliverer
from services.webhooks.dispatch import Dispatcher, delivery_id
from services.webhooks.envelope import cloud_event
from services.webhooks.guard import Guard
from services.webhooks.handshake import Handshake
from services.webhooks.receiver import ANSWER_CHARACTERS, Answer
from services.webhooks.registry import Registry
from services.webhooks.schedule import MOST_ATTEMPTS

APP = "https://app.example"
URL = "https://receiver.example/hook"


class Killed(BaseException):
    """The process died here."""


class World:
    """Registry, dispatcher, deliverer and a receiver that answers as told, on one queue."""

    def __init__(self, *answers: Answer) -> None:
        self.fakes = FakeCloud()
        self.answers = list(answers)
        self.posted: list[tuple[str, dict[str, str], bytes]] = []
        guard = Guard(allow_local=False, resolve=lambda host, port: ["8.8.8.8"])
        self.registry = Registry(self.fakes.system, self.fakes.clock, guard)
        self.queue: FakeQueue = self.fakes.deliveries
        self.dispatcher = Dispatcher(self.registry, self.queue)
        self.deliverer = Deliverer(self.fakes.system, self.registry, self.queue, self.send, self.fakes.clock, APP)
        parts = (self.fakes.system, self.registry, self.dispatcher, self.fakes.clock)
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.console = Console(*parts, Handshake(self.ask, "app.example"))
        self.endpoint = self.registry.add({"url": URL})

    def send(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        self.posted.append((url, headers, body))
        return self.answers.pop(0) if self.answers else Answer(204)

    def ask(self, method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        """The receiver is asked for its agreement."""
        self.asked.append((method, url, headers))
        return self.answers.pop(0)

    def event(self, number: int = 1) -> Event:
        kind = "visionloop.training.started"
        return Event(
            id=f"cards-{number}",
            source="/s",
            type=kind,
            subject="cards",
            time=self.fakes.clock(),
            data={"loop": "cards", "reason": "r"},
        )

    def take(self) -> tuple[str, float]:
        """The next message of the queue, when its time has come."""
        body, delay = self.queue.sent.pop(0)
        self.fakes.clock.advance(delay)
        return body, delay

    def work(self) -> list[float]:
        """Deliver until the queue is empty; the delays of the messages."""
        delays = []
        while self.queue.sent:
            body, delay = self.take()
            delays.append(delay)
            self.deliverer.deliver(body)
        return delays

    @property
    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.console.deliveries(self.endpoint.id)["deliveries"]
        return found


def test_a_delivery_is_the_event_signed() -> None:
    world = World()
    world.dispatcher.dispatch([world.event()])
    world.work()
    [(url, headers, body)] = world.posted
    assert url == URL
    assert json.loads(body) == cloud_event(world.event(), APP)
    assert headers["webhook-id"] == delivery_id("cards-1", world.endpoint.id)
    assert headers["webhook-timestamp"] == str(int(world.fakes.clock.now.timestamp()))
    assert headers["content-type"].startswith("application/cloudevents+json")
    now = headers["webhook-timestamp"]
    assert (
        Webhook(world.endpoint.secret).sign(headers["webhook-id"], world.fakes.clock.now, body.decode())
        == headers["webhook-signature"]
    )
    assert headers["webhook-signature"].startswith("v1,")
    assert now.isdigit()


def test_every_receiver_that_wants_an_event_gets_it() -> None:
    world = World()
    world.registry.add({"url": URL, "events": ["rollout.*"]})
    other = world.registry.add({"url": "https://other.example/", "events": ["training.*"]})
    world.dispatcher.dispatch([world.event(1), world.event(2)])
    world.work()
    assert sorted((u, json.loads(b)["id"]) for u, _, b in world.posted) == [
        ("https://other.example/", "cards-1"), ("https://other.example/", "cards-2"), (URL, "cards-1"), (URL, "cards-2"),
    ]  # fmt: skip
    assert len(world.console.deliveries(other.id)["deliveries"]) == 2


def test_an_event_handed_over_twice_is_delivered_once() -> None:
    world = World()
    for _ in range(3):
        world.dispatcher.dispatch([world.event()])
    world.work()
    assert len(world.posted) == 1
    world.dispatcher.dispatch([world.event()])
    world.work()
    assert len(world.posted) == 1


def test_a_failing_receiver_is_tried_by_the_schedule_and_given_up() -> None:
    world = World(*[Answer(500, "down")] * 20)
    world.dispatcher.dispatch([world.event()])
    delays = world.work()
    planned = [0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert len(delays) == len(world.posted) == MOST_ATTEMPTS
    assert all(p <= d <= 1.1 * p for p, d in zip(planned, delays, strict=True))
    [found] = world.log
    assert (found["state"], found["reason"], found["next_attempt"]) == ("failed", "10 attempts failed", None)
    assert [(a["number"], a["status"], a["answer"]) for a in found["attempts"]] == [
        (n, 500, "down") for n in range(1, 11)
    ]
    assert len({h["webhook-id"] for _, h, _ in world.posted}) == 1


@pytest.mark.parametrize("status", [0, 100, 199, 300, 301, 302, 307, 308, 400, 401, 404, 408, 429, 500, 503])
def test_only_2xx_succeeds(status: int) -> None:
    world = World(Answer(status))
    world.dispatcher.dispatch([world.event()])
    world.deliverer.deliver(world.take()[0])
    [found] = world.log
    assert found["state"] == "pending"
    assert found["next_attempt"] is not None
    assert len(world.queue.sent) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(status: int) -> None:
    world = World(Answer(500), Answer(status))
    world.dispatcher.dispatch([world.event()])
    world.work()
    assert world.log[0]["state"] == "delivered"
    assert [a["status"] for a in world.log[0]["attempts"]] == [500, status]


def test_gone_disables_the_receiver() -> None:
    world = World(Answer(410))
    world.dispatcher.dispatch([world.event(1), world.event(2)])
    world.work()
    assert len(world.posted) == 1
    assert not world.registry.get(world.endpoint.id).enabled
    reasons = {d["event"]: (d["state"], d["reason"]) for d in world.log}
    assert reasons["cards-1"] == ("failed", "the receiver answered 410 Gone")
    assert reasons["cards-2"] == ("failed", "the webhook is disabled: it answered 410 Gone")
    world.dispatcher.dispatch([world.event(3)])
    assert world.queue.sent == []


def test_retry_after_is_honoured() -> None:
    world = World(Answer(503, "", 90.0))
    world.dispatcher.dispatch([world.event()])
    assert world.work() == [0, 90.0]


def test_the_log_keeps_the_first_bytes_of_an_answer() -> None:
    world = World(Answer(500, "x" * 5000))
    world.dispatcher.dispatch([world.event()])
    world.deliverer.deliver(world.take()[0])
    assert world.log[0]["attempts"][0]["answer"] == "x" * ANSWER_CHARACTERS


def test_a_removed_receiver_gets_nothing_more() -> None:
    world = World()
    world.dispatcher.dispatch([world.event()])
    world.registry.remove(world.endpoint.id)
    world.work()
    assert world.posted == []


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "7", "{}", '{"delivery": "../x", "endpoint": "ep_0", "event": {}, "attempt": 1}', "[" * 5000],
)
def test_a_message_that_is_not_ours_is_refused(body: str) -> None:
    world = World()
    with pytest.raises(BadRequest):
        world.deliverer.deliver(body)
    assert world.posted == []


def test_wherever_the_process_dies_the_event_arrives_and_the_queue_ends() -> None:
    calls = 0
    while True:
        world, seen = World(Answer(500), Answer(204)), 0
        world.dispatcher.dispatch([world.event()])

        def hook(call: str, at: int = calls) -> None:
            nonlocal seen
            seen += 1
            if seen == at + 1:
                raise Killed(call)

        world.fakes.on_call = hook
        died = False
        for _ in range(20):
            if not world.queue.sent:
                break
            body = world.queue.sent[0][0]
            try:
                world.deliverer.deliver(body)
                world.queue.sent.pop(0)
            except Killed:
                died = True  # the queue shows the message again
        world.fakes.on_call = lambda _: None
        assert world.queue.sent == []
        assert world.log[0]["state"] == "delivered"
        assert len(world.posted) <= 3
        if not died:
            break
        calls += 1
    assert calls >= 8


def test_storage_that_is_away_does_not_use_up_the_message() -> None:
    world = World()
    world.dispatcher.dispatch([world.event()])
    body, _ = world.take()

    def away(call: str) -> None:
        if call.startswith("before:blob"):
            raise Upstream("Storage answered 500")

    world.fakes.on_call = away
    world.deliverer.deliver(body)
    assert world.queue.sent == [(body, STORAGE_SECONDS)]
    world.fakes.on_call = lambda _: None
    world.work()
    assert world.log[0]["state"] == "delivered"


def test_a_test_event_goes_to_one_receiver_whatever_it_wants() -> None:
    world = World()
    only = world.registry.add({"url": "https://only.example/", "events": ["rollout.*"], "loops": ["fruit"]})
    asked = world.console.test(only.id)
    world.work()
    [(url, headers, body)] = world.posted
    assert (url, headers["webhook-id"]) == ("https://only.example/", asked["delivery"])
    assert json.loads(body)["type"] == "visionloop.webhook.test"
    with pytest.raises(NotFound):
        world.console.test("ep_0000000000000000")


def test_newest_deliveries_come_first() -> None:
    world = World()
    for number in (1, 2, 3):
        world.dispatcher.dispatch([world.event(number)])
        world.work()
        world.fakes.clock.advance(60)
    assert [d["event"] for d in world.log] == ["cards-3", "cards-2", "cards-1"]
    with pytest.raises(NotFound):
        world.console.deliveries("ep_0000000000000000")


def test_a_secret_is_shown_once_and_is_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World(Answer(500), Answer(410))
    shown = world.console.register(json.dumps({"url": URL}).encode())
    secret = shown["secret"]
    world.console.test(shown["id"])
    world.work()
    key = secret.removeprefix("whsec_")
    told = json.dumps([world.console.list(), world.console.deliveries(shown["id"]), world.queue.sent], default=str)
    assert key not in told
    assert key not in caplog.text
    kept = [name for name, blob in world.fakes.system.blobs.items() if key.encode() in blob.data]
    assert kept == ["deliveries/endpoints.json"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 5000])
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="JSON"):
        World().console.register(body)


def test_the_clock_of_an_attempt_is_its_signatures() -> None:
    world = World(Answer(500))
    world.dispatcher.dispatch([world.event()])
    world.deliverer.deliver(world.take()[0])
    attempt, due = world.log[0]["attempts"][0]["time"], world.log[0]["next_attempt"]
    assert world.posted[0][1]["webhook-timestamp"] == str(int(world.fakes.clock.now.timestamp()))
    assert attempt < due < (world.fakes.clock.now + timedelta(seconds=6)).isoformat()
