from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from emulator.azure_ml.faults import KINDS, FaultMiddleware, Faults, Rule, page


class World:
    def __init__(self) -> None:
        self.faults, self.done = Faults(), 0
        routes = [
            Route("/jobs/{name}", self.work, methods=["GET", "PUT"]),
            Route("/emulator/faults", self.page, methods=["GET", "POST", "DELETE"]),
        ]
        self._app = FaultMiddleware(Starlette(routes=routes), self.faults)

    async def work(self, _: Request) -> JSONResponse:
        self.done += 1
        return JSONResponse({"ok": True})

    async def page(self, request: Request) -> Any:
        return await page(request, self.faults)

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, json=body)

        return asyncio.run(send())

    def inject(self, **rule: Any) -> int:
        return int(self.ask("POST", "/emulator/faults", rule).status_code)


@pytest.fixture
def world() -> World:
    return World()


def message_of(rule: Rule | None) -> str:
    return rule.message if rule else ""


def test_a_request_is_refused_so_many_times(world: World) -> None:
    assert world.inject(kind="refuse", path="/jobs/", times=2, status=429, retry_after=3) == 200
    for _ in range(2):
        answer = world.ask("PUT", "/jobs/a")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
        assert answer.json()["error"]["message"]
    assert world.ask("PUT", "/jobs/a").status_code == 200
    assert world.done == 1


def test_a_rule_is_for_a_path_and_a_method(world: World) -> None:
    world.inject(kind="refuse", path="/jobs/b", method="PUT", status=500)
    assert world.ask("PUT", "/jobs/a").status_code == 200
    assert world.ask("GET", "/jobs/b").status_code == 200
    assert world.ask("PUT", "/jobs/b").status_code == 500


def test_a_change_is_made_and_answered_with_an_error(world: World) -> None:
    world.inject(kind="error_after_accept", status=503)
    assert world.ask("PUT", "/jobs/a").status_code == 503
    assert world.done == 1


def test_a_request_is_slow(world: World) -> None:
    world.inject(kind="delay", seconds=0.1)
    began = time.monotonic()
    assert world.ask("GET", "/jobs/a").status_code == 200
    assert time.monotonic() - began >= 0.1


def test_jobs_and_slots_fail_once(world: World) -> None:
    world.inject(kind="fail_job", path="^cats-", message="no memory")
    world.inject(kind="fail_deployment", path="/blue$")
    assert world.faults.job_failure("dogs-1") is None
    assert message_of(world.faults.job_failure("cats-1")) == "no memory"
    assert world.faults.job_failure("cats-1") is None
    assert world.faults.deployment_failure("cats/deployments/green") == ""
    assert world.faults.deployment_failure("cats/deployments/blue")


def test_a_job_fails_at_a_step_and_a_slot_is_slow_once(world: World) -> None:
    world.inject(kind="fail_job", step="train", message="preempted")
    world.inject(kind="slow_deployment", path="/blue$", seconds=3)
    assert world.faults.job_failure("cats-1") is None
    assert message_of(world.faults.job_failure("cats-1", "train")) == "preempted"
    assert world.faults.job_failure("cats-1", "train") is None
    assert world.faults.deployment_delay("cats/deployments/green") == 0
    assert [world.faults.deployment_delay("cats/deployments/blue") for _ in range(2)] == [3, 0]


def test_where_no_connection_can_be_cut_an_error_is_answered(world: World) -> None:
    world.inject(kind="reset")
    assert world.ask("PUT", "/jobs/a").status_code == 500
    assert world.done == 0


def test_rules_are_listed_and_removed(world: World) -> None:
    world.inject(kind="refuse", times=5)
    [rule] = world.ask("GET", "/emulator/faults").json()
    assert (rule["kind"], rule["times"], rule["status"]) == ("refuse", 5, 500)
    assert world.ask("DELETE", "/emulator/faults").json() == []
    assert world.ask("GET", "/jobs/a").status_code == 200


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"kind": "nonsense"},
        {"kind": "refuse", "path": "("},
        {"kind": "refuse", "x": 1},
        {"kind": "fail_job", "step": "x"},
    ],
)
def test_what_is_no_rule(world: World, rule: dict[str, Any]) -> None:
    assert world.inject(**rule) == 400
    assert world.faults.rules == []


def test_the_document_names_every_kind_of_fault() -> None:
    text = (Path(__file__).parents[3] / "docs" / "azure-ml-emulator.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text.partition("| `kind` |")[2].partition("```")[0], re.MULTILINE)) == set(
        KINDS
    )


def test_what_is_no_mapping() -> None:
    with pytest.raises(ValueError, match="no rule"):
        Rule.read(["refuse"])
