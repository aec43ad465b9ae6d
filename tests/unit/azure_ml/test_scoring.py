"""How a scoring request finds its slot, and what it gets when the slot is busy, slow, broken or gone."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from emulator.azure_ml.app import Emulator
from emulator.azure_ml.config import Config
from emulator.azure_ml.scoring import QUEUE_FACTOR

Answer = Callable[[httpx.Request], httpx.Response]


class World:
    def __init__(self, folder: Path) -> None:
        self.emulator = Emulator(Config(folder, "https://localhost:1", "s", "g", "w", [], "secret"))
        self._app = self.emulator.application()
        self.token = self.emulator.identity.issue("https://ml.azure.com", "secret")["access_token"]
        self.seen: list[httpx.Request] = []
        self.emulator.endpoints.put("cats", {"properties": {"authMode": "AADToken"}})
        for port, slot in enumerate(("blue", "green"), 1):
            key = f"cats/deployments/{slot}"
            settings = {"maxConcurrentRequestsPerInstance": 2, "requestTimeout": "PT1M30S"}
            properties = {"provisioningState": "Succeeded", "requestSettings": settings}
            self.emulator.store.put("deployments", key, {"properties": properties, "internal": {}, "created": ""})
            self.emulator.endpoints.slots[key] = cast("Any", SimpleNamespace(port=port, busy=0))

    def traffic(self, **traffic: int) -> None:
        self.emulator.endpoints.put("cats", {"properties": {"authMode": "AADToken", "traffic": traffic}})

    def score(self, answer: Answer, slot: str = "", times: int = 1) -> list[httpx.Response]:
        def noted(request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return answer(request)

        async def send() -> list[httpx.Response]:
            self.emulator.scoring._client = httpx.AsyncClient(transport=httpx.MockTransport(noted))
            headers = {"authorization": f"Bearer {self.token}", **({"azureml-model-deployment": slot} if slot else {})}
            app = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=app, base_url="https://localhost:1") as client:
                return [await client.post("/online/cats/score", content=b"{}", headers=headers) for _ in range(times)]

        return asyncio.run(send())


def fine(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=[{"boxes": []}])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.emulator.store.close()


def test_the_header_addresses_a_slot_whatever_the_traffic(world: World) -> None:
    world.traffic(blue=100)
    [answer] = world.score(fine, "green")
    assert (answer.status_code, answer.json()) == (200, [{"boxes": []}])
    assert answer.headers["azureml-model-deployment"] == "green"
    assert world.seen[0].url.port == 2


def test_traffic_is_shared_as_told(world: World) -> None:
    world.traffic(blue=80, green=20)
    answers = world.score(fine, times=200)
    shares = collections.Counter(a.headers["azureml-model-deployment"] for a in answers)
    assert 120 < shares["blue"] < 195
    assert shares["blue"] + shares["green"] == 200


def test_without_traffic_nobody_answers(world: World) -> None:
    [answer] = world.score(fine)
    assert answer.status_code == 404
    assert world.seen == []


def test_a_slot_s_own_refusal_passes_through_and_its_failure_is_424(world: World) -> None:
    [refused] = world.score(lambda _: httpx.Response(400, json={"error": {"code": "BadRequest"}}), "blue")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "BadRequest")
    [failed] = world.score(lambda _: httpx.Response(500, text="broken"), "blue")
    assert failed.status_code == 424


def raising(error: type[httpx.TransportError]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("no", request=request)

    return answer


@pytest.mark.parametrize(("error", "status"), [(httpx.ReadTimeout, 408), (httpx.ConnectError, 424)])
def test_a_slot_that_is_slow_or_gone(world: World, error: type[httpx.TransportError], status: int) -> None:
    [answer] = world.score(raising(error), "blue")
    assert answer.status_code == status
    assert world.seen[0].extensions["timeout"]["read"] == 90.0
    assert world.emulator.endpoints.slots["cats/deployments/blue"].busy == 0


def test_too_many_at_once(world: World) -> None:
    world.emulator.endpoints.slots["cats/deployments/blue"].busy = 2 * QUEUE_FACTOR
    [answer] = world.score(fine, "blue")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert world.score(fine, "green")[0].status_code == 200


def test_a_slot_that_is_not_ready(world: World) -> None:
    del world.emulator.endpoints.slots["cats/deployments/blue"]
    [answer] = world.score(fine, "blue")
    assert answer.status_code == 404
    assert world.seen == []
