"""A receiver with a handshake is told nothing before it has agreed, and no faster than it agreed to."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from urllib3 import HTTPHeaderDict

from services.errors import BadRequest
from services.webhooks.console import Console
from services.webhooks.handshake import Agreement, Handshake, origin_of, read_agreement
from services.webhooks.receiver import Answer
from services.webhooks.registry import PENDING
from tests.unit.webhooks.test_deliver import URL, World

OTHER = "https://other.example/hook"


def says(status: int = 200, **headers: str) -> Answer:
    return Answer(status, "", None, HTTPHeaderDict({name.replace("_", "-"): v for name, v in headers.items()}))


def yes(rate: str = "*") -> Answer:
    return says(webhook_allowed_origin="app.example", webhook_allowed_rate=rate)


def registered(world: World, *answers: Answer) -> dict[str, Any]:
    world.answers = [*answers]
    world.registry.remove(world.endpoint.id)
    return world.console.register(json.dumps({"url": URL, "handshake": True}).encode())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (yes(), Agreement()),
        (yes("120"), Agreement(120)),
        (says(204, webhook_allowed_origin="*"), Agreement()),
        (says(405, webhook_allowed_origin="APP.example"), Agreement()),
        (says(200, webhook_allowed_origin=" * ", webhook_allowed_rate=" 7 "), Agreement(7)),
    ],
)
def test_a_yes_is_in_the_headers(answer: Answer, expected: Agreement) -> None:
    assert read_agreement(answer, "app.example") == expected


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says(200), "without WebHook-Allowed-Origin"),
        (says(405), "it answered 405"),
        (Answer(0, "no answer: Timeout, over 10 s"), "no answer: Timeout"),
        (says(webhook_allowed_origin="evil.example"), "neither * nor app.example"),
        (says(webhook_allowed_origin="app.example, other.example"), "neither"),
        (says(webhook_allowed_origin="app.example.evil.example"), "neither"),
        (says(webhook_allowed_origin="*", webhook_allowed_rate="0"), "number over zero"),
        (says(webhook_allowed_origin="*", webhook_allowed_rate="-1"), "number over zero"),
        (says(webhook_allowed_origin="*", webhook_allowed_rate="fast"), "number over zero"),
        (says(webhook_allowed_origin="*", webhook_allowed_rate="9" * 5000), "number over zero"),
    ],
)
def test_everything_else_is_none(answer: Answer, why: str) -> None:
    found = read_agreement(answer, "app.example")
    assert re.search(re.escape(why), found.refusal)
    assert len(found.refusal) < 300


def test_one_that_agrees_is_enabled_and_its_document_says_so() -> None:
    world = World()
    shown = registered(world, yes("120"))
    assert world.asked == [("OPTIONS", URL, {"WebHook-Request-Origin": "app.example", "user-agent": "Visionloop"})]
    assert (shown["enabled"], shown["handshake"], shown["per_minute"]) == (True, True, 120)
    assert shown["agreed"] == world.fakes.clock().isoformat().replace("+00:00", "Z")
    world.dispatcher.dispatch([world.event()])
    world.work()
    assert world.posted[0][1]["WebHook-Request-Origin"] == "app.example"


def test_one_that_does_not_is_told_nothing_and_may_be_asked_again() -> None:
    world = World()
    shown = registered(world, says(200))
    assert (shown["enabled"], shown["agreed"]) == (False, None)
    assert "without WebHook-Allowed-Origin" in shown["disabled_reason"]
    world.dispatcher.dispatch([world.event()])
    assert world.queue.sent == []
    world.answers = [says(404), yes()]
    assert not world.console.update(shown["id"], b'{"enabled": true}')["enabled"]
    assert world.console.update(shown["id"], b'{"enabled": true}')["enabled"]
    assert len(world.asked) == 3


def test_another_address_has_to_agree_anew() -> None:
    world = World()
    shown = registered(world, yes("5"), says(500))
    moved = world.console.update(shown["id"], json.dumps({"url": OTHER}).encode())
    assert (moved["enabled"], moved["agreed"], moved["per_minute"]) == (False, None, None)
    assert [url for _, url, _ in world.asked] == [URL, OTHER]


def test_a_receiver_may_be_asked_for_it_later_and_it_may_be_left() -> None:
    world = World(yes("5"))
    turned = world.console.update(world.endpoint.id, b'{"handshake": true}')
    assert (turned["enabled"], turned["per_minute"]) == (True, 5)
    left = world.console.update(world.endpoint.id, b'{"handshake": false}')
    assert (left["enabled"], left["handshake"], left["per_minute"], left["agreed"]) == (True, False, None, None)
    assert len(world.asked) == 1
    world.dispatcher.dispatch([world.event(n) for n in range(3)])
    assert world.work() == [0, 0, 0]


def test_other_changes_ask_nothing() -> None:
    world = World()
    shown = registered(world, yes())
    world.console.update(shown["id"], b'{"description": "chat"}')
    assert not world.console.update(shown["id"], b'{"enabled": false}')["enabled"]
    assert len(world.asked) == 1


def test_a_process_that_dies_while_it_asks_leaves_it_disabled() -> None:
    endpoint = World().registry.add({"url": OTHER, "handshake": True})
    assert (endpoint.enabled, endpoint.disabled_reason) == (False, PENDING)


def test_an_answer_that_comes_when_it_has_moved_enables_nothing() -> None:
    world = World()

    def moved(method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        [endpoint] = [e for e in world.registry.list() if e.handshake]
        world.registry.update(endpoint.id, {"url": OTHER})
        return yes()

    world.console = Console(
        world.fakes.system, world.registry, world.dispatcher, world.fakes.clock, Handshake(moved, "app.example")
    )
    shown = world.console.register(json.dumps({"url": URL, "handshake": True}).encode())
    assert (shown["url"], shown["enabled"]) == (OTHER, False)


def test_without_a_handshake_nobody_is_asked() -> None:
    world = World()
    assert world.console.register(b'{"url": "https://other.example/"}')["enabled"]
    assert world.asked == []


@pytest.mark.parametrize("value", ["1", "null", '"yes"', "[]"])
def test_it_is_on_or_off(value: str) -> None:
    with pytest.raises(BadRequest, match="handshake"):
        World().console.register(f'{{"url": "{URL}", "handshake": {value}}}'.encode())


def test_deliveries_are_as_far_apart_as_it_agreed_to() -> None:
    world = World()
    registered(world, yes("30"))
    start, made = world.fakes.clock(), []
    world.dispatcher.dispatch([world.event(n) for n in range(4)])
    queue: list[tuple[float, str]] = []
    while queue or world.queue.sent:
        now = (world.fakes.clock() - start).total_seconds()
        queue += [(now + delay, body) for body, delay in world.queue.sent]
        world.queue.sent.clear()
        due, body = queue.pop(queue.index(min(queue)))
        world.fakes.clock.now = max(world.fakes.clock(), start + timedelta(seconds=due))
        before = len(world.posted)
        world.deliverer.deliver(body)
        if len(world.posted) > before:
            made.append((world.fakes.clock() - start).total_seconds())
    assert made == [0, 2, 4, 6]


def test_retry_after_holds_the_others_back_too() -> None:
    """The specification asks that no further requests are sent until then."""
    world = World()
    registered(world, yes(), Answer(429, "", 90.0))
    world.dispatcher.dispatch([world.event(1), world.event(2)])
    first, second = (body for body, _ in world.queue.sent)
    world.queue.sent.clear()
    world.deliverer.deliver(first)
    world.deliverer.deliver(second)
    assert len(world.posted) == 1
    assert [delay for _, delay in world.queue.sent] == [90, 90]


def test_retry_after_holds_back_too_what_has_a_moment_of_its_own() -> None:
    world = World()
    registered(world, yes("30"), Answer(204), Answer(429, "", 90.0))
    world.dispatcher.dispatch([world.event(n) for n in range(3)])
    bodies = [world.queue.sent.pop(0)[0] for _ in range(3)]
    for body in bodies:
        world.deliverer.deliver(body)
    (second, _), (third, _) = world.queue.sent
    world.queue.sent.clear()
    world.fakes.clock.advance(2)
    world.deliverer.deliver(second)
    world.queue.sent.clear()
    world.fakes.clock.advance(2)
    world.deliverer.deliver(third)
    assert (len(world.posted), [delay for _, delay in world.queue.sent]) == (2, [88])
    world.work()
    assert len(world.posted) == 3


@pytest.mark.parametrize(
    ("url", "origin"),
    [("https://app.example", "app.example"), ("https://localhost:7071", "localhost"), ("", "localhost")],
)
def test_receivers_know_the_app_by_its_host(url: str, origin: str) -> None:
    assert origin_of(url) == origin
