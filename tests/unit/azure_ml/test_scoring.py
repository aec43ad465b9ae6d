"""How a scoring request finds its slot, and what it gets when the slot is busy, slow, broken or gone."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from emulator.azure_ml.app import Emulator
from emulator.azure_ml.config import Config
from emulator.azure_ml.scoring import ADMITTED
from tests.support.timing import TooSlow, tried_again


class Slot:
    """A slot's web server: answers as told and when it may, and counts how many it answers at once."""

    def __init__(self) -> None:
        self.status, self.seconds, self.seen = 200, 0.0, 0
        self.now = self.most = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        lock, slot = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with lock:
                    slot.seen += 1
                    slot.now += 1
                    slot.most = max(slot.most, slot.now)
                slot.may_answer.wait(60)
                time.sleep(slot.seconds)
                with lock:
                    slot.now -= 1
                with contextlib.suppress(OSError):  # a request that was given up has nobody to hear its answer
                    self.answer(body)

            def answer(self, body: bytes) -> None:
                self.send_response(slot.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.may_answer.set()
        self.server.shutdown()
        self.server.server_close()


class World:
    def __init__(self, folder: Path) -> None:
        self.emulator = Emulator(Config(folder, "https://localhost:1", "s", "g", "w", [], "secret"))
        self._app = self.emulator.application()
        self.token = self.emulator.identity.issue("https://ml.azure.com", "secret")["access_token"]
        self.emulator.endpoints.put("cats", {"properties": {"authMode": "AADToken"}})
        self.slots = {name: Slot() for name in ("blue", "green")}
        for name, slot in self.slots.items():
            self.settings(name)
            self.at(name, slot.server.server_port)

    def settings(self, name: str, concurrent: int = 1, timeout: str = "PT60S", **rest: Any) -> None:
        settings = {"maxConcurrentRequestsPerInstance": concurrent, "requestTimeout": timeout}
        properties = {"provisioningState": "Succeeded", "requestSettings": settings}
        body = {"properties": properties, "internal": {}, "created": "", **rest}
        self.emulator.store.put("deployments", f"cats/deployments/{name}", body)

    def at(self, name: str, port: int) -> None:
        self.emulator.endpoints.slots.live[f"cats/deployments/{name}"] = cast("Any", SimpleNamespace(port=port))

    def traffic(self, **traffic: int) -> None:
        self.emulator.endpoints.put("cats", {"properties": {"authMode": "AADToken", "traffic": traffic}})

    def score(self, slot: str = "", times: int = 1, together: bool = False) -> list[httpx.Response]:
        async def send(client: httpx.AsyncClient) -> list[httpx.Response]:
            asked = [self._post(client, slot) for _ in range(times)]
            return list(await asyncio.gather(*asked)) if together else [await one for one in asked]

        return asyncio.run(self._with_client(send))

    def score_held(self, slot: str, times: int, refused: int, inside: int) -> list[httpx.Response]:
        """Ask together; the slot answers nobody before so many were refused and so many are inside it."""
        held = self.slots[slot]

        async def send(client: httpx.AsyncClient) -> list[httpx.Response]:
            asked = [asyncio.create_task(self._post(client, slot)) for _ in range(times)]
            ends = time.monotonic() + 60
            while (sum(t.done() for t in asked), held.now) != (refused, inside) and time.monotonic() < ends:  # noqa: ASYNC110  # the slot is in threads
                await asyncio.sleep(0.001)
            held.may_answer.set()
            return list(await asyncio.gather(*asked))

        held.may_answer.clear()
        return asyncio.run(self._with_client(send))

    def _post(self, client: httpx.AsyncClient, slot: str) -> Coroutine[Any, Any, httpx.Response]:
        headers = {"authorization": f"Bearer {self.token}", **({"azureml-model-deployment": slot} if slot else {})}
        return client.post("/online/cats/score", content=b"{}", headers=headers)

    async def _with_client(
        self, send: Callable[[httpx.AsyncClient], Coroutine[Any, Any, list[httpx.Response]]]
    ) -> list[httpx.Response]:
        app = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=app, base_url="https://localhost:1") as client:
            return await send(client)

    def close(self) -> None:
        asyncio.run(self.emulator.scoring.close())
        self.emulator.store.close()
        for slot in self.slots.values():
            slot.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.close()


def statuses(answers: list[httpx.Response]) -> dict[int, int]:
    return dict(collections.Counter(answer.status_code for answer in answers))


def test_the_header_addresses_a_slot_whatever_the_traffic(world: World) -> None:
    world.traffic(blue=100)
    [answer] = world.score("green")
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert answer.headers["azureml-model-deployment"] == "green"
    assert (world.slots["green"].seen, world.slots["blue"].seen) == (1, 0)


def test_traffic_is_shared_as_told(world: World) -> None:
    world.traffic(blue=80, green=20)
    shares = collections.Counter(a.headers["azureml-model-deployment"] for a in world.score(times=200))
    assert 120 < shares["blue"] < 195
    assert shares["blue"] + shares["green"] == 200


def test_without_traffic_nobody_answers(world: World) -> None:
    assert world.score()[0].status_code == 404
    assert world.slots["blue"].seen == 0


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_whatever_a_slot_answers_but_200_is_424(world: World, status: int) -> None:
    world.slots["blue"].status = status
    [answer] = world.score("blue")
    assert (answer.status_code, answer.content) == (424, b"{}")
    assert answer.headers["ms-azureml-model-error-statuscode"] == str(status)


def test_a_slot_that_is_slow(world: World) -> None:
    world.settings("blue", timeout="PT0.2S")
    world.slots["blue"].may_answer.clear()
    [answer] = world.score("blue")
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "RequestTimeout")


def test_a_request_that_was_given_up_is_executed_all_the_same(world: World) -> None:
    world.settings("blue", timeout="PT0.5S")
    slot = world.slots["blue"]
    slot.may_answer.clear()
    assert world.score("blue")[0].status_code == 408
    ends = time.monotonic() + 60
    while not slot.seen and time.monotonic() < ends:
        time.sleep(0.01)  # its thread may come to it only after the time was over
    assert slot.seen == 1


@tried_again
def test_the_time_in_the_queue_counts(world: World) -> None:
    world.settings("blue", timeout="PT1.2S")
    world.slots["blue"].seconds = 0.8
    found = statuses(world.score("blue", times=2, together=True))
    if found == {408: 2}:
        raise TooSlow("not even the first was answered in time")
    assert found == {200: 1, 408: 1}


def test_a_slot_that_is_gone(world: World) -> None:
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))  # and nobody listens there
        world.at("blue", kept.getsockname()[1])
        [answer] = world.score("blue")
    assert (answer.status_code, answer.json()["error"]["code"]) == (424, "ModelError")


@pytest.mark.parametrize(("concurrent", "instances"), [(1, 1), (2, 1), (1, 3)])
def test_so_many_at_once_some_wait_and_the_rest_is_refused(world: World, concurrent: int, instances: int) -> None:
    world.settings("blue", concurrent, sku={"name": "Default", "capacity": instances})
    capacity = concurrent * instances
    answers = world.score_held("blue", ADMITTED * capacity + 3, refused=3, inside=capacity)
    assert statuses(answers) == {200: ADMITTED * capacity, 429: 3}
    assert {a.headers["retry-after"] for a in answers if a.status_code == 429} == {"1"}
    assert world.slots["blue"].most == capacity
    assert statuses(world.score("blue", times=3)) == {200: 3}


def test_a_busy_slot_is_no_matter_of_the_other(world: World) -> None:
    answers = world.score_held("blue", ADMITTED + 2, refused=2, inside=1)
    assert statuses(answers) == {200: ADMITTED, 429: 2}
    assert world.score("green")[0].status_code == 200


def test_new_settings_hold_for_the_next_request(world: World) -> None:
    answers = world.score_held("blue", ADMITTED + 2, refused=2, inside=1)
    assert statuses(answers) == {200: ADMITTED, 429: 2}
    world.settings("blue", concurrent=2)
    assert statuses(world.score("blue", times=ADMITTED + 2, together=True)) == {200: ADMITTED + 2}


def test_a_slot_that_is_started_again_is_away_for_a_while(world: World) -> None:
    del world.emulator.endpoints.slots.live["cats/deployments/blue"]
    [answer] = world.score("blue")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    world.at("blue", world.slots["blue"].server.server_port)
    assert world.score("blue")[0].status_code == 200


def test_a_slot_that_is_not_ready_or_not_there(world: World) -> None:
    world.emulator.endpoints.slots.set("cats/deployments/blue", "", "Creating", {})
    assert world.score("blue")[0].status_code == 404
    assert world.score("purple")[0].status_code == 404
    assert world.slots["blue"].seen == 0
