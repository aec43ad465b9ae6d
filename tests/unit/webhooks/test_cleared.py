"""What a receiver was given may be taken from it again: null is what it would be had it never been given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.errors import BadRequest
from tests.unit.webhooks.test_deliver import URL, World
from tests.unit.webhooks.test_handshake import yes


def registered(world: World, **more: Any) -> str:
    world.registry.remove(world.endpoint.id)
    return str(world.console.register(json.dumps({"url": URL, **more}).encode())["id"])


def changed(world: World, endpoint: str, **members: Any) -> dict[str, Any]:
    return world.console.update(endpoint, json.dumps(members).encode())


@pytest.mark.parametrize(
    ("name", "given", "cleared"),
    [("rate", 60, None), ("events", ["training.*"], []), ("loops", ["cards"], []), ("description", "ours", "")],
)
def test_null_clears_a_member_and_leaves_the_others(name: str, given: Any, cleared: Any) -> None:
    world, others = World(), {"rate": 60, "events": ["rollout.*"], "loops": ["cards"], "description": "ours"}
    number = registered(world, **others, **({} if name in others else {name: given}))
    before = world.console.get(number)
    assert changed(world, number, **{name: given})[name] == given
    shown = changed(world, number, **{name: None})
    assert shown[name] == cleared
    assert world.console.get(number) == before | {name: cleared}


def test_a_receiver_without_a_rate_of_its_own_is_asked_anew_and_gets_what_it_agrees_to() -> None:
    world = World(yes("50"), yes("120"), yes("120"))
    number = registered(world, handshake=True, rate=50)
    shown = changed(world, number, rate=None)
    assert (shown["rate"], shown["per_minute"], shown["enabled"]) == (None, 120, True)
    assert len(world.asked) == 2
    changed(world, number, rate=None)
    assert len(world.asked) == 2, "nothing has changed"


def test_a_handshake_that_is_cleared_is_left() -> None:
    world = World(yes("50"))
    number = registered(world, handshake=True, rate=50)
    shown = changed(world, number, handshake=None)
    assert (shown["handshake"], shown["agreed"], shown["per_minute"], shown["enabled"]) == (False, None, None, True)


@pytest.mark.parametrize("name", ["url", "enabled"])
def test_what_every_receiver_has_cannot_be_cleared(name: str) -> None:
    world = World()
    number = registered(world, rate=60)
    before = world.console.get(number)
    with pytest.raises(BadRequest, match=name):
        changed(world, number, **{name: None}, rate=None)
    assert world.console.get(number) == before


def test_what_is_left_out_stays() -> None:
    world = World()
    number = registered(world, rate=60, events=["training.*"], description="ours")
    before = world.console.get(number)
    assert changed(world, number) == before
