"""Every event has a schema that is published, and is as it says: tests/support/told.py checks what any test tells."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from jsonschema import Draft202012Validator

from services.context import LoopContext
from services.state import Event
from services.webhooks.data import DATA
from services.webhooks.deliver import PATIENCE
from services.webhooks.envelope import cloud_event, payload
from services.webhooks.kinds import KINDS
from services.webhooks.receiver import Answer
from services.webhooks.schemas import DIALECT, PLACE, address, listed, schema
from tests.support.http_request import functions, request
from tests.support.living_loop import LivingLoop
from tests.support.stages import NOW
from tests.support.told import held_to_schemas, wrong
from tests.unit.webhooks.test_deliver import World

FUNCTIONS = functions()
SERVICES = Path(__file__).resolve().parents[3] / "services"


def call(name: str, **route: Any) -> func.HttpResponse:
    answer: func.HttpResponse = FUNCTIONS[name].get_user_function()(request(**route))
    return answer


def tells() -> list[tuple[str, set[str], bool]]:
    """Kind, members named, and whether others are given with `**`, of every `tell(...)` with a kind that is written."""
    calls = (n for file in SERVICES.rglob("*.py") for n in ast.walk(ast.parse(file.read_text())))
    found = [
        n for n in calls if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "tell"
    ]
    named = [(n, {k.arg for k in n.keywords if k.arg}, any(k.arg is None for k in n.keywords)) for n in found]
    return [(str(n.args[0].value), names, more) for n, names, more in named if isinstance(n.args[0], ast.Constant)]


def test_every_kind_has_a_schema_and_nothing_else_has() -> None:
    assert DATA.keys() == KINDS.keys()
    for kind in KINDS:
        found = schema(f"visionloop.{kind}")
        Draft202012Validator.check_schema(found)
        assert (found["$schema"], found["title"]) == (DIALECT, f"visionloop.{kind}")
        assert {"loop", "reason"} <= set(found["required"])


@pytest.mark.parametrize(("kind", "names", "more"), tells())
def test_a_telling_gives_what_its_schema_asks_for(kind: str, names: set[str], more: bool) -> None:
    """Read from the code, so that a line that no test reaches is held too."""
    found = schema(kind)
    assert names <= found["properties"].keys()
    assert more or set(found["required"]) - {"loop", "reason"} <= names


def test_what_a_living_loop_tells_is_as_published() -> None:
    kinds: set[str] = set()
    with held_to_schemas(kinds):
        loop = LivingLoop()
        for number in range(12):
            loop.image(number)
            loop.label(number, "bolt" if number % 2 else "nut")
        loop.event()
        for step in range(400):
            loop.settle_slots()
            for job in loop.running():
                loop.complete(job, 8)
            if not loop.look():
                loop.fake.clock.advance(loop.next_due() or 30)
            if step == 200:
                loop.put("loop.yaml", b"training: []")
                loop.event()
            if "config.rejected" in kinds:
                break
    assert loop.champion()
    assert kinds >= {
        "config.changed", "config.rejected", "task.inferred", "dataset.registered", "training.started",
        "training.completed", "model.registered", "rollout.started", "rollout.evaluated", "rollout.promoted",
    }  # fmt: skip
    assert [w for event in loop.told.values() for w in wrong(event)] == []


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("loop.error", {}),
        ("loop.error", {"stage": 1}),
        ("loop.error", {"stage": "training", "more": True}),
        ("rollout.ordered", {"word": "dance", "run": 1, "by": ""}),
        ("training.failed", {"run": 1}),
    ],
)
def test_what_is_not_as_published_is_found(kind: str, data: dict[str, Any]) -> None:
    data = {"loop": "cards", "reason": "r", **data}
    event = Event(id="cards-1", source="/s", type=f"visionloop.{kind}", subject="cards", time=NOW, data=data)
    assert wrong(event)


def test_the_check_is_on_in_every_test() -> None:
    assert LoopContext.tell.__name__ == "checked"


def test_they_are_served_without_a_key() -> None:
    shown = call("schemas")
    assert json.loads(shown.get_body()) == listed()
    assert [s["type"] for s in listed()["schemas"]] == [f"visionloop.{kind}" for kind in KINDS]
    for one in listed()["schemas"]:
        answer = call("schemas_one", type=one["type"])
        assert (answer.status_code, answer.mimetype) == (200, "application/schema+json")
        assert json.loads(answer.get_body()) == schema(one["type"])


def test_what_is_told_of_no_loop_is_as_published() -> None:
    """Those are made without a loop's context."""
    world = World(*[Answer(500)] * 20)
    world.dispatcher.dispatch([world.event()])
    world.registry.failing(world.endpoint, NOW - PATIENCE * 2)
    other = world.registry.add({"url": "https://other.example/", "events": ["webhook.*"]})
    world.deliverer.deliver(world.take()[0])
    world.console.test(other.id)
    told = [Event.model_validate(json.loads(body)["event"]) for body, _ in world.queue.sent]
    assert {e.type for e in told} >= {"visionloop.webhook.disabled", "visionloop.webhook.test"}
    assert [w for e in told if "webhook" in e.type for w in wrong(e)] == []


def test_an_event_leads_to_its_schema_where_the_app_has_an_address() -> None:
    event = World().event()
    assert "dataschema" not in cloud_event(event, "")
    sent = json.loads(payload(event, "https://app.example"))
    assert sent.pop("dataschema") == f"https://app.example{PLACE}/visionloop.training.started"
    assert sent == event.model_dump(mode="json")


@pytest.mark.parametrize("name", ["visionloop.nothing", "", "visionloop.", "../x", "visionloop.training.*"])
def test_there_are_no_others(name: str) -> None:
    answer = call("schemas_one", type=name)
    assert answer.status_code == 404
    assert "GET /api/schemas" in json.loads(answer.get_body())["detail"]


def test_an_address_is_absolute_or_none() -> None:
    assert address("https://app.example/", "visionloop.loop.error") == (
        f"https://app.example{PLACE}/visionloop.loop.error"
    )
    assert address("", "visionloop.loop.error") is None
