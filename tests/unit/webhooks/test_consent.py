"""A receiver that has not agreed at once may later, by an address that only it was given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from services.errors import BadLink, BadRequest
from services.webhooks.consent import ASKED_AT_MOST, PATIENCE
from services.webhooks.console import Console
from services.webhooks.deliver import ASKED_SECONDS
from services.webhooks.handshake import CALLBACK, Handshake
from services.webhooks.receiver import Answer
from services.webhooks.registry import FILE
from tests.unit.webhooks.test_deliver import APP, URL, Killed, World
from tests.unit.webhooks.test_handshake import OTHER, says, yes

SILENT = says(204)


class Asking(World):
    """The same in an app that has an address."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.registry.remove(self.endpoint.id)
        self.answers = list(answers)
        self.meanwhile: list[Any] = []
        self.console = self.at(APP)

    def at(self, public_url: str) -> Console:
        parts = (self.fakes.system, self.registry, self.dispatcher, self.fakes.clock)
        return Console(*parts, Handshake(self.ask, "app.example", public_url))

    def ask(self, method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        answer = super().ask(method, url, headers, body)
        while self.meanwhile:
            self.meanwhile.pop(0)()
        return answer

    def register(self, **asked: object) -> dict[str, Any]:
        return self.console.register(json.dumps({"url": URL, "handshake": True, **asked}).encode())

    def agree(self, which: int = -1, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """By the address that was given when it was asked."""
        parts = urlsplit(self.asked[which][2][CALLBACK])
        assert f"{parts.scheme}://{parts.netloc}" == APP
        endpoint = parts.path.removeprefix("/api/webhooks/").removesuffix("/agreement")
        return self.console.agree(endpoint, parse_qs(parts.query)["token"][0], headers or {})

    @property
    def one(self) -> dict[str, Any]:
        [shown] = self.console.list()["webhooks"]
        return dict(shown)


@pytest.mark.parametrize("answer", [SILENT, says(200), says(405), says(404), says(503), says(307)])
def test_one_that_says_neither_yes_nor_no_is_waited_for(answer: Answer) -> None:
    """The specification: the handshake cannot rely on status codes, and a person may find the address in a log."""
    world = Asking(answer)
    shown = world.register()
    assert (shown["enabled"], shown["agreed"]) == (False, None)
    assert shown["waiting_until"] == f"{world.fakes.clock() + PATIENCE:%Y-%m-%dT%H:%M:%SZ}"
    assert "may later" in shown["disabled_reason"]
    assert world.agree()["agreed"] == world.fakes.clock()
    assert (world.one["enabled"], world.one["disabled_reason"], world.one["per_minute"]) == (True, "", None)


@pytest.mark.parametrize("answer", [says(webhook_allowed_origin="other.example"), says(410), Answer(0, "no answer")])
def test_a_refusal_is_final(answer: Answer) -> None:
    world = Asking(answer)
    assert world.register()["waiting_until"] is None
    with pytest.raises(BadLink):
        world.agree()
    assert not world.one["enabled"]


def test_while_it_waits_it_is_told_nothing_and_later_only_what_comes_then() -> None:
    world = Asking(SILENT)
    world.register()
    world.dispatcher.dispatch([world.event(1)])
    assert world.queue.sent == []
    world.agree()
    world.dispatcher.dispatch([world.event(2)])
    world.work()
    assert [json.loads(body)["id"] for _, _, body in world.posted] == ["cards-2"]


def test_what_is_on_its_way_while_it_is_asked_anew_waits_for_the_answer() -> None:
    world = Asking(yes(), Answer(500), yes())
    shown = world.register()
    world.dispatcher.dispatch([world.event(1)])
    world.deliverer.deliver(world.take()[0])
    retried, _ = world.take()
    world.meanwhile = [lambda: world.deliverer.deliver(retried)]
    world.console.update(shown["id"], b'{"rate": 60}')
    assert (len(world.posted), [delay for _, delay in world.queue.sent]) == (1, [ASKED_SECONDS])
    world.work()
    assert len(world.posted) == 2


def test_a_process_that_died_as_it_asked_holds_nothing_up_for_long() -> None:
    world = Asking(yes(), Answer(500), yes())
    shown = world.register()
    world.dispatcher.dispatch([world.event(1)])
    world.deliverer.deliver(world.take()[0])
    world.meanwhile = [killed]
    with pytest.raises(Killed):
        world.console.update(shown["id"], b'{"rate": 60}')
    world.fakes.clock.advance(ASKED_AT_MOST.total_seconds())
    world.work()
    [logged] = world.console.deliveries(shown["id"])["deliveries"]
    assert (logged["state"], len(world.posted)) == ("failed", 1)


def killed() -> None:
    raise Killed


def test_the_address_is_kept_as_a_hash_only() -> None:
    world = Asking(SILENT)
    shown = world.register()
    token = parse_qs(urlsplit(world.asked[0][2][CALLBACK]).query)["token"][0]
    assert len(token) >= 43
    assert token not in world.fakes.system.blobs[FILE].data.decode()
    assert "asked_hash" not in shown


def test_a_guess_and_an_unknown_webhook_are_refused_alike() -> None:
    world = Asking(SILENT, yes())
    waits, agreed = world.register(), world.register()
    told = []
    for endpoint, token in [(waits["id"], "x"), (waits["id"], ""), ("ep_0000000000000000", "x"), (agreed["id"], "")]:
        with pytest.raises(BadLink) as refused:
            world.console.agree(endpoint, token, {})
        told.append(refused.value.detail)
    assert len(set(told)) == 1
    assert not world.console.get(waits["id"])["enabled"]


def test_one_that_is_not_asked_has_no_address_at_all() -> None:
    world = Asking()
    plain = world.console.register(json.dumps({"url": URL}).encode())
    with pytest.raises(BadLink):
        world.console.agree(plain["id"], "", {})


def test_it_is_good_for_a_time() -> None:
    world = Asking(SILENT)
    world.register()
    world.fakes.clock.advance(PATIENCE.total_seconds() - 1)
    assert world.agree()
    late = Asking(SILENT)
    late.register()
    late.fakes.clock.advance(PATIENCE.total_seconds())
    with pytest.raises(BadLink):
        late.agree()
    assert not late.one["enabled"]


def test_the_same_yes_twice_is_one_and_enables_nothing_that_was_disabled_since() -> None:
    world = Asking(SILENT)
    world.register()
    first = world.agree(headers={"WebHook-Allowed-Rate": "30"})
    world.fakes.clock.advance(5)
    assert world.agree(headers={"WebHook-Allowed-Rate": "9999"}) == first
    world.registry.disable(world.one["id"], "it answered 410 Gone")
    world.agree()
    assert (world.one["enabled"], world.one["per_minute"]) == (False, 30)


@pytest.mark.parametrize("change", [{"enabled": False}, {"handshake": False}, {"url": OTHER}, {"enabled": True}])
def test_an_address_that_is_no_longer_asked_about_does_nothing(change: dict[str, Any]) -> None:
    world = Asking(SILENT, SILENT)
    shown = world.register()
    world.console.update(shown["id"], json.dumps(change).encode())
    with pytest.raises(BadLink):
        world.agree(0)
    assert not world.one["enabled"]


def test_it_is_asked_again_under_another_address() -> None:
    world = Asking(SILENT, SILENT)
    shown = world.register()
    world.fakes.clock.advance(timedelta(days=30).total_seconds())
    again = world.console.update(shown["id"], b'{"enabled": true}')
    assert again["waiting_until"] > shown["waiting_until"]
    assert world.asked[0][2][CALLBACK] != world.asked[1][2][CALLBACK]
    world.agree()
    assert world.one["enabled"]


@pytest.mark.parametrize("answer", [SILENT, Answer(0, "no answer: Timeout, over 10 s"), says(410)])
def test_one_may_agree_by_its_address_before_it_answers(answer: Answer) -> None:
    world = Asking(answer)
    world.meanwhile = [world.agree]
    assert world.register()["enabled"]


@pytest.mark.parametrize("change", [{"enabled": False}, {"handshake": False}])
def test_what_a_person_says_while_it_is_asked_stands(change: dict[str, Any]) -> None:
    world = Asking(yes())
    world.meanwhile = [lambda: world.registry.update(world.one["id"], change)]
    assert not world.register()["enabled"]


def test_disabled_by_a_person_it_is_not_asked_when_it_is_moved() -> None:
    world = Asking(yes())
    shown = world.register()
    world.console.update(shown["id"], b'{"enabled": false}')
    moved = world.console.update(shown["id"], json.dumps({"url": OTHER}).encode())
    assert (moved["enabled"], moved["agreed"], len(world.asked)) == (False, None, 1)
    both = world.console.update(shown["id"], json.dumps({"url": URL, "enabled": False}).encode())
    assert (both["enabled"], len(world.asked)) == (False, 1)


def test_without_an_address_of_the_app_there_is_nothing_to_wait_for() -> None:
    world = Asking(SILENT)
    world.console = world.at("")
    shown = world.register()
    assert CALLBACK not in world.asked[0][2]
    assert shown["waiting_until"] is None


@pytest.mark.parametrize(
    ("rate", "allowed", "expected"),
    [(None, "*", None), (None, "20", 20), (60, "*", 60), (60, "20", 20), (60, "600", 60), (60, None, 60)],
)
def test_the_rate_that_is_asked_for_is_kept_whatever_more_is_allowed(
    rate: int | None, allowed: str | None, expected: int | None
) -> None:
    world = Asking(SILENT)
    world.register(rate=rate)
    assert world.asked[0][2].get("WebHook-Request-Rate") == (str(rate) if rate else None)
    given = world.agree(headers={"WebHook-Allowed-Rate": allowed} if allowed else {})
    assert given["per_minute"] == world.one["per_minute"] == expected


def test_another_rate_is_asked_for_anew() -> None:
    world = Asking(yes("100"), yes("100"))
    shown = world.register()
    assert world.console.update(shown["id"], b'{"rate": 50}')["per_minute"] == 50
    assert len(world.asked) == 2


@pytest.mark.parametrize(
    "headers",
    [{"WebHook-Allowed-Rate": "0"}, {"WebHook-Allowed-Rate": "fast"}, {"WebHook-Allowed-Origin": "other.example"}],
)
def test_a_permission_that_is_none_says_why_and_can_be_mended(headers: dict[str, str]) -> None:
    world = Asking(SILENT)
    world.register()
    with pytest.raises(BadRequest, match="WebHook-Allowed"):
        world.agree(headers=headers)
    assert not world.one["enabled"]
    assert world.agree()


@pytest.mark.parametrize("rate", [0, -1, 1.5, "60", True])
def test_a_rate_is_a_number_over_zero(rate: object) -> None:
    with pytest.raises(BadRequest, match="rate"):
        Asking().register(rate=rate)
