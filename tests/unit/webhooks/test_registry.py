from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from services.cloud.fakes import FakeCloud
from services.errors import BadRequest, ChangedMeanwhile, Conflict, NotFound
from services.state import Event
from services.webhooks.guard import Guard
from services.webhooks.registry import FILE, MOST_ENDPOINTS, Registry

URL = "https://receiver.example/hook"


@pytest.fixture
def fakes() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def registry(fakes: FakeCloud) -> Registry:
    return Registry(fakes.system, fakes.clock, Guard(allow_local=False, resolve=lambda host, port: ["8.8.8.8"]))


def event(kind: str = "training.started", loop: str = "cards") -> Event:
    return Event(
        id=f"{loop}-1",
        source="/s",
        type=f"visionloop.{kind}",
        subject=loop,
        time=FakeCloud().clock(),
        data={"loop": loop},
    )


def test_a_receiver_is_registered_with_a_secret_of_its_own(registry: Registry) -> None:
    one, two = registry.add({"url": URL, "description": "ours"}), registry.add({"url": URL})
    assert one.id != two.id
    assert one.secret != two.secret
    assert one.secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(one.secret.removeprefix("whsec_"), validate=True)) <= 64
    assert [e.id for e in registry.list()] == [one.id, two.id]
    assert registry.get(one.id) == one


def test_what_changes_nothing_is_not_written(registry: Registry) -> None:
    endpoint = registry.add({"url": URL})
    before = registry.system.read(FILE).etag
    registry.failing(endpoint, None)
    registry.disable(endpoint.id, "it answered 410 Gone", endpoint.model_copy(update={"url": "https://moved.example/"}))
    assert registry.system.read(FILE).etag == before


def test_what_is_shown_has_no_secret(registry: Registry) -> None:
    endpoint = registry.add({"url": URL})
    assert endpoint.secret not in json.dumps(endpoint.shown())
    assert {
        "id",
        "url",
        "events",
        "loops",
        "description",
        "created",
        "enabled",
        "disabled_reason",
        "failing_since",
        "handshake",
        "kind",
        "agreed",
        "per_minute",
        "rate",
        "waiting_until",
    } == set(endpoint.shown())


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        (None, "The body"), ([], "The body"), ({}, "url"), ({"url": 7}, "url"), ({"url": URL, "secret": "x"}, "secret"),
        ({"url": URL, "events": "training.*"}, "events"), ({"url": URL, "events": ["trainning.*"]}, "events"),
        ({"url": URL, "events": [7]}, "events.0"), ({"url": URL, "loops": ["Cards!"]}, "loops"),
        ({"url": "http://receiver.example/"}, "url"), ({"url": "https://" + "a" * 3000}, "url"),
        ({"url": URL, "description": "x" * 201}, "description"), ({"url": URL, "events": ["*"] * 51}, "events"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_what_is_wrong(registry: Registry, asked: Any, where: str) -> None:
    with pytest.raises(BadRequest, match=f"^{where}: "):
        registry.add(asked)
    assert registry.list() == []


def test_a_misspelt_pattern_is_told_the_kinds_there_are(registry: Registry) -> None:
    with pytest.raises(BadRequest, match=r"training\.started"):
        registry.add({"url": URL, "events": ["trained"]})


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, True), ({"events": ["training.*"]}, True), ({"events": ["visionloop.training.*"]}, True),
        ({"events": ["rollout.*"]}, False), ({"events": ["rollout.*", "training.started"]}, True),
        ({"loops": ["cards"]}, True), ({"loops": ["fruit"]}, False), ({"events": ["*"], "loops": ["fruit"]}, False),
        ({"events": ["*.started"]}, True),
    ],
)  # fmt: skip
def test_a_receiver_chooses_by_kind_and_loop(registry: Registry, asked: dict[str, Any], wanted: bool) -> None:
    assert registry.add({"url": URL, **asked}).wants(event()) is wanted


def test_a_disabled_receiver_wants_nothing(registry: Registry) -> None:
    endpoint = registry.add({"url": URL})
    registry.disable(endpoint.id, "it answered 410 Gone")
    found = registry.get(endpoint.id)
    assert not found.wants(event())
    assert found.disabled_reason == "it answered 410 Gone"


def test_a_removed_receiver_is_gone(registry: Registry) -> None:
    endpoint = registry.add({"url": URL})
    registry.remove(endpoint.id)
    assert registry.list() == []
    for act in (registry.get, registry.remove):
        with pytest.raises(NotFound):
            act(endpoint.id)


def test_there_are_not_endlessly_many(registry: Registry) -> None:
    for _ in range(MOST_ENDPOINTS):
        registry.add({"url": URL})
    with pytest.raises(Conflict):
        registry.add({"url": URL})


def test_two_registrations_at_once_are_both_kept(registry: Registry, fakes: FakeCloud) -> None:
    """Another process writes between our read and our write."""
    registry.add({"url": URL})
    between = iter([True])

    def hook(call: str) -> None:
        if call == "before:blob.write" and next(between, False):
            registry.add({"url": URL, "description": "the other"})

    fakes.on_call = hook
    registry.add({"url": URL, "description": "ours"})
    assert [e.description for e in registry.list()] == ["", "the other", "ours"]


def test_a_list_that_others_keep_changing_ends_in_a_clear_error(registry: Registry, fakes: FakeCloud) -> None:
    registry.add({"url": URL})

    def hook(call: str) -> None:
        if call == "before:blob.write":
            fakes.system.blobs[FILE].etag += "x"

    fakes.on_call = hook
    with pytest.raises(ChangedMeanwhile):
        registry.add({"url": URL})
