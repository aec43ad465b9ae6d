"""Whatever address somebody names, in whatever spelling: nothing inside our network is connected to, not even once.

Of everything that asks addresses that others name: images of predictions, webhooks, CVAT servers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from services.errors import VisionloopError
from services.inbound.cvat_api import CvatApi, Server
from services.inference.fetch import ImageFetcher
from services.webhooks.guard import Guard
from services.webhooks.sender import HttpSender
from tests.unit.webhooks.test_guard import INSIDE, LOOPBACK_SPELLINGS

HOSTS = [*(f"[{host}]" if ":" in host else host for host in INSIDE), *LOOPBACK_SPELLINGS]


Ask = Callable[[Guard, str], object]


def fetch(guard: Guard, url: str) -> object:
    return ImageFetcher(guard, 1000)(url)


def send(guard: Guard, url: str) -> object:
    return HttpSender(guard, timeout=2)(url, {}, b"{}")


def look_up(guard: Guard, url: str) -> object:
    return CvatApi(guard).documents(Server(url, "token"), 1)


each = pytest.mark.parametrize("ask", [fetch, send, look_up])


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every address that anything connects to, or tries to."""
    found: list[object] = []

    def connect(_: socket.socket, address: object) -> None:
        found.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return found


def test_there_are_enough_of_them() -> None:
    assert len({*HOSTS}) >= 60


@each
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_no_address_inside_is_connected_to(connected: list[object], ask: Ask, scheme: str) -> None:
    for host in HOSTS:
        for port in ("", ":443", ":8080"):
            with suppress(VisionloopError):
                ask(Guard(allow_local=False), f"{scheme}://{host}{port}/a.jpg")
    assert connected == []


@each
def test_no_name_that_leads_inside_is_connected_to(connected: list[object], ask: Ask) -> None:
    for leads in [*([address] for address in INSIDE), *(["8.8.8.8", address] for address in INSIDE)]:
        with suppress(VisionloopError):
            ask(_guard([leads]), "https://innocent.example/")
    assert connected == []


@each
def test_what_was_checked_is_connected_to_wherever_the_name_leads_then(connected: list[object], ask: Ask) -> None:
    """And so the recording is seen to record."""
    with suppress(VisionloopError):
        ask(_guard([["8.8.8.8"], ["127.0.0.1"]]), "https://rebinding.example/")
    assert connected == [("8.8.8.8", 443)]


def _guard(leads: Sequence[list[str]]) -> Guard:
    each_time = iter(leads)
    return Guard(allow_local=False, resolve=lambda host, port: next(each_time))
