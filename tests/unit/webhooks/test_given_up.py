"""Hopeless receivers are given up, and what people do meanwhile stands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.errors import ChangedMeanwhile, Upstream
from services.webhooks.deliver import PATIENCE
from services.webhooks.dispatch import delivery_id
from services.webhooks.receiver import Answer
from tests.unit.webhooks.test_deliver import Killed, World
from tests.unit.webhooks.test_replay import send


@pytest.fixture
def now() -> World:
    return World()


def test_a_receiver_that_only_fails_for_days_is_given_up_and_the_others_hear_of_it(now: World) -> None:
    other = now.registry.add({"url": "https://other.example/", "events": ["webhook.disabled"]})
    now.answers = [Answer(500), Answer(500)]
    send(now, 1)
    assert now.registry.get(now.endpoint.id).failing_since == now.fakes.clock()
    now.fakes.clock.advance(PATIENCE.total_seconds())
    now.queue.sent.clear()
    send(now, 2)
    found = now.registry.get(now.endpoint.id)
    assert (found.enabled, "every delivery has failed since" in found.disabled_reason) == (False, True)
    told = [json.loads(body) for body, _ in now.queue.sent]
    [notice] = [m for m in told if m["endpoint"] == other.id]
    assert notice["event"]["type"] == "visionloop.webhook.disabled"
    assert notice["event"]["data"]["webhook"] == now.endpoint.id


def test_a_process_that_dies_as_it_gives_a_receiver_up_has_told_the_others(now: World) -> None:
    other = now.registry.add({"url": "https://other.example/", "events": ["webhook.disabled"]})
    now.answers = [Answer(500)] * 3
    send(now, 1)
    now.fakes.clock.advance(PATIENCE.total_seconds())
    now.queue.sent.clear()
    with pytest.MonkeyPatch.context() as dying:
        dying.setattr(now.registry, "disable", killed)
        with pytest.raises(Killed):
            send(now, 2)
    send(now, 3)
    told = [m for m in (json.loads(body) for body, _ in now.queue.sent) if m["event"]["id"].startswith("disabled-")]
    assert {m["endpoint"] for m in told} == {other.id}
    assert len({m["delivery"] for m in told}) == 1
    assert not now.registry.get(now.endpoint.id).enabled


def killed(*_: object) -> None:
    raise Killed


@pytest.mark.parametrize("status", [500, 410])
@pytest.mark.parametrize("change", [{"enabled": True}, {"url": "https://moved.example/"}])
def test_what_a_person_changes_during_an_attempt_is_not_undone_by_it(
    now: World, status: int, change: dict[str, Any]
) -> None:
    now.answers = [Answer(500)]
    send(now, 1)
    now.fakes.clock.advance(PATIENCE.total_seconds())
    now.queue.sent.clear()
    answer = now.send

    def meanwhile(url: str, headers: dict[str, str], body: bytes) -> Answer:
        now.registry.update(now.endpoint.id, change)
        answer(url, headers, body)
        return Answer(status)

    now.deliverer._sender = meanwhile
    send(now, 2)
    found = now.registry.get(now.endpoint.id)
    assert (found.enabled, found.failing_since) == (True, None)


def test_one_that_is_removed_during_an_attempt_is_nothing_more(now: World) -> None:
    now.answers = [Answer(500)]
    send(now, 1)
    now.fakes.clock.advance(PATIENCE.total_seconds())
    now.queue.sent.clear()

    def meanwhile(url: str, headers: dict[str, str], body: bytes) -> Answer:
        now.registry.remove(now.endpoint.id)
        return Answer(500)

    now.deliverer._sender = meanwhile
    now.dispatcher.dispatch([now.event(2)])
    now.work()
    assert now.registry.list() == []


def test_another_address_has_its_own_days(now: World) -> None:
    now.answers = [Answer(500), Answer(500)]
    send(now, 1)
    now.fakes.clock.advance(PATIENCE.total_seconds())
    now.queue.sent.clear()
    now.console.update(now.endpoint.id, b'{"url": "https://moved.example/"}')
    send(now, 2)
    found = now.registry.get(now.endpoint.id)
    assert (found.enabled, found.failing_since) == (True, now.fakes.clock())


def test_storage_that_is_away_when_it_is_over_asks_the_receiver_no_second_time(
    now: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it answered is written down before anything else is noted of it."""
    now.answers = [Answer(500)]
    send(now, 1)
    now.queue.sent.clear()
    monkeypatch.setattr(now.registry, "failing", away)
    send(now, 2)
    while now.queue.sent:
        now.deliverer.deliver(now.take()[0])
    assert [p[1]["webhook-id"] for p in now.posted[1:]] == [delivery_id("cards-2", now.endpoint.id)]


def away(*_: object) -> None:
    raise Upstream("Storage does not answer")


def test_many_that_note_the_same_at_once_lose_no_attempt(now: World, monkeypatch: pytest.MonkeyPatch) -> None:
    now.answers = [Answer(500)]
    send(now, 1)
    now.queue.sent.clear()

    def changed(*_: object) -> None:
        raise ChangedMeanwhile("somebody was quicker")

    monkeypatch.setattr(now.registry, "failing", changed)
    send(now, 2)
    found = now.console.deliveries(now.endpoint.id)["deliveries"]
    assert [d["state"] for d in found if d["event"] == "cards-2"] == ["delivered"]


def test_one_success_starts_the_days_anew(now: World) -> None:
    now.answers = [Answer(500), Answer(204), Answer(500)]
    send(now, 1)
    now.fakes.clock.advance(PATIENCE.total_seconds())
    now.queue.sent.clear()
    send(now, 2)
    assert now.registry.get(now.endpoint.id).failing_since is None
    send(now, 3)
    assert now.registry.get(now.endpoint.id).enabled
