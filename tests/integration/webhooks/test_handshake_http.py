"""The handshake with a receiver over HTTP, from the registration to the delivery."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from services.webhooks.console import Console
from services.webhooks.guard import Guard
from services.webhooks.handshake import Handshake
from services.webhooks.sender import HttpSender
from tests.integration.webhooks.test_receivers import World
from tests.integration.webhooks.test_slow import dripping
from tests.support.small_server import Handler, serving
from tests.support.timing import tried_again, within

ORIGIN = "app.example"
Seen = list[tuple[str, str, dict[str, str]]]


@contextmanager
def agreeing(headers: Mapping[str, str], status: int = 200) -> Iterator[tuple[str, Seen]]:
    """A receiver whose answer to OPTIONS has these headers."""
    seen: Seen = []

    class Hook(Handler):
        def _note(self) -> None:
            seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))

        def do_OPTIONS(self) -> None:
            self._note()
            self.answer(status, b"", headers)

        def do_POST(self) -> None:
            self.body()
            self._note()
            self.answer(204)

    with serving(Hook) as address:
        yield f"{address}/hook?a=b", seen


def console(world: World, seconds: float = 60) -> Console:
    handshake = Handshake(HttpSender(Guard(allow_local=True), seconds).ask, ORIGIN)
    return Console(world.fakes.system, world.registry, world.dispatcher, world.fakes.clock, handshake)


def asked(url: str) -> bytes:
    return json.dumps({"url": url, "handshake": True}).encode()


def test_one_that_agrees_is_asked_once_and_told_of_everything_after() -> None:
    world = World()
    world.deliverer._origin = ORIGIN
    with agreeing({"WebHook-Allowed-Origin": ORIGIN, "WebHook-Allowed-Rate": "120", "Allow": "POST"}) as (url, seen):
        shown = console(world).register(asked(url))
        assert (shown["enabled"], shown["per_minute"]) == (True, 120)
        world.tell("training.started", "40 labelled images")
        world.work()
    assert [(method, path) for method, path, _ in seen] == [("OPTIONS", "/hook?a=b"), ("POST", "/hook?a=b")]
    assert [headers["webhook-request-origin"] for _, _, headers in seen] == [ORIGIN, ORIGIN]
    assert "webhook-signature" not in seen[0][2]


def test_a_server_that_only_answers_options_has_not_agreed() -> None:
    world = World()
    with agreeing({"Allow": "GET, POST, OPTIONS"}, 204) as (url, seen):
        shown = console(world).register(asked(url))
        world.tell("training.started", "r")
        world.work()
    assert not shown["enabled"]
    assert "it answered 204 to OPTIONS" in str(shown["disabled_reason"])
    assert [method for method, _, _ in seen] == ["OPTIONS"]


def test_a_redirect_is_not_followed_to_a_yes() -> None:
    with agreeing({"WebHook-Allowed-Origin": "*"}) as (there, seen), agreeing({"Location": there}, 307) as (url, _):
        assert not console(World()).register(asked(url))["enabled"]
    assert seen == []


@tried_again
def test_one_that_drips_its_answer_is_not_waited_for() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1000, 0.02) as port, within(0.9):
        shown = console(World(), 0.3).register(asked(f"http://127.0.0.1:{port}/"))
    assert not shown["enabled"]
    assert "Timeout" in str(shown["disabled_reason"])


def test_an_address_inside_is_not_even_asked() -> None:
    handshake = Handshake(HttpSender(Guard(allow_local=False), 1).ask, ORIGIN)
    with agreeing({"WebHook-Allowed-Origin": "*"}) as (url, seen):
        endpoint = World().registry.add({"url": url}).model_copy(update={"url": url.replace("http:", "https:")})
        assert "not sent" in handshake(endpoint, "").refusal
    assert seen == []
