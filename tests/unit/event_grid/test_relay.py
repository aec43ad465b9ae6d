from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.event_grid.relay import Relay
from emulator.event_grid.retries import RETRY_SECONDS, SPREAD
from emulator.event_grid.settings import Chaos, Subscription
from emulator.event_grid.store import Pending, Store


def event(number: int | str, **data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": str(number), "source": "/s", "type": "t", "subject": "/a/x", "data": data}


class Endpoint:
    """A webhook that answers with a list of statuses, the last for ever."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.bodies, self.methods = list(statuses), list[Any](), list[str]()
        self.headers: list[httpx.Headers] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.methods.append(request.method)
        if request.method == "OPTIONS":
            return httpx.Response(200, headers={"WebHook-Allowed-Origin": request.headers["WebHook-Request-Origin"]})
        body = json.loads(request.content)
        if request.headers["aeg-event-type"] == "SubscriptionValidation":
            return httpx.Response(200, json={"validationResponse": body[0]["data"]["validationCode"]})
        self.bodies.append(body)
        self.headers.append(request.headers)
        return httpx.Response(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = Store(tmp_path / "relay.sqlite")
    yield opened
    opened.close()


def made(store: Store, tmp_path: Path, chaos: str = "", **subscription: Any) -> Relay:
    found = Relay(store, [Subscription("s", "t", "http://hook", **subscription)], Chaos.read(chaos), tmp_path / "dead")
    found.retry_scale = 0.001
    return found


def deliver(
    relay: Relay, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, enough: Callable[[], bool] = lambda: False
) -> None:
    """Run until nothing waits, or it is enough."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(endpoint))
    monkeypatch.setattr("emulator.event_grid.relay.httpx.AsyncClient", lambda **_: client)

    async def running() -> None:
        task, ends = asyncio.create_task(relay.run()), time.monotonic() + 60
        while relay.store.waiting() and not enough() and time.monotonic() < ends:  # noqa: ASYNC110  # a test looks from outside
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(running())


def test_a_handshake_comes_before_the_first_delivery(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, endpoint = made(store, tmp_path), Endpoint(202)
    relay.take("t", [event(1)])
    deliver(relay, endpoint, monkeypatch)
    assert endpoint.methods == ["OPTIONS", "POST"]
    assert endpoint.bodies == [event(1)]


def test_batches_in_event_grids_own_schema(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relay, endpoint = made(store, tmp_path, schema="eventgrid", events_per_batch=2), Endpoint(202)
    relay.take("t", [event(n) for n in range(5)])
    deliver(relay, endpoint, monkeypatch)
    assert sorted(len(body) for body in endpoint.bodies) == [1, 2, 2]
    first = endpoint.bodies[0][0]
    assert (first["topic"], first["eventType"], first["subject"]) == ("/s", "t", "/a/x")


def test_what_fails_comes_again_until_it_is_taken(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, endpoint = made(store, tmp_path), Endpoint(500, 503, 202)
    relay.take("t", [event(1)])
    deliver(relay, endpoint, monkeypatch)
    assert len(endpoint.bodies) == 3
    assert [(d["outcome"], d["attempts"]) for d in store.deliveries()] == [("delivered", 3)]


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_what_is_refused_for_good_is_a_dead_letter(
    status: int, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, endpoint = made(store, tmp_path), Endpoint(status)
    relay.take("t", [event("../../up")])
    deliver(relay, endpoint, monkeypatch)
    assert len(endpoint.bodies) == 1
    (letter,) = (tmp_path / "dead").iterdir()
    [found] = json.loads(letter.read_text())
    assert (found["lasthttpstatuscode"], found["deliveryattempts"]) == (status, 1)
    assert found["deadletterreason"].startswith("UndeliverableDueToHttp")


def test_a_status_of_success_beyond_204_is_none(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relay, endpoint = made(store, tmp_path), Endpoint(207, 206, 204)
    relay.take("t", [event(1)])
    deliver(relay, endpoint, monkeypatch)
    assert len(endpoint.bodies) == 3


def test_each_attempt_says_how_many_there_were(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relay, endpoint = made(store, tmp_path), Endpoint(500, 404, 202)
    relay.take("t", [event(1)])
    deliver(relay, endpoint, monkeypatch)
    assert [h["aeg-delivery-count"] for h in endpoint.headers] == ["0", "1", "2"]
    assert {h["aeg-subscription-name"] for h in endpoint.headers} == {"S"}


def test_the_schedule_ends_with_a_dead_letter(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relay, endpoint = made(store, tmp_path), Endpoint(500)
    relay.retry_scale = 0
    relay.take("t", [event(1)])
    deliver(relay, endpoint, monkeypatch)
    assert len(endpoint.bodies) == 30
    assert RETRY_SECONDS[:6] == (10, 30, 60, 300, 600, 1800)


def test_the_first_retry_waits_as_long_as_the_schedule_says(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, endpoint = made(store, tmp_path), Endpoint(500)
    relay.retry_scale = 1.0
    relay.take("t", [event(1)])
    tried: list[float] = []

    def retry(batch: list[Pending], due: float) -> None:
        tried.append(time.time())
        Store.retry(store, batch, due)

    monkeypatch.setattr(store, "retry", retry)
    began = time.time()
    deliver(relay, endpoint, monkeypatch, lambda: bool(tried) and time.time() > tried[0] + 0.3)
    assert len(endpoint.bodies) == len(tried) == 1
    due = store._db.execute("SELECT due FROM pending").fetchone()[0]
    assert began + 10 <= due <= tried[0] + 10 * (1 + SPREAD)


def test_a_slow_answer_holds_up_no_other_event(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relay, taken = made(store, tmp_path), []

    class Slow(Endpoint):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            answer = await super().__call__(request)
            if request.method == "POST":
                await (asyncio.Event().wait() if b'"id": "0"' in request.content else asyncio.sleep(0))
                taken.append(json.loads(request.content)["id"])
            return answer

    relay.take("t", [event(n) for n in range(40)])
    deliver(relay, Slow(202), monkeypatch, lambda: len(taken) == 39)
    assert len(taken) == 39


def test_what_waits_survives_a_restart(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(store, tmp_path).take("t", [event(1), event(2)], {"log_offset": 7})
    again, endpoint = Store(tmp_path / "relay.sqlite"), Endpoint(202)
    try:
        assert again.number("log_offset") == 7
        deliver(made(again, tmp_path), endpoint, monkeypatch)
    finally:
        again.close()
    assert sorted(b["id"] for b in endpoint.bodies) == ["1", "2"]


def test_chaos_makes_copies_and_shuffles_them(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relay, endpoint = made(store, tmp_path, "copies=3,shuffle=0.5,seed=1"), Endpoint(202)
    relay.take("t", [event(n) for n in range(20)])
    deliver(relay, endpoint, monkeypatch)
    order = [b["id"] for b in endpoint.bodies]
    assert Counter(order) == {str(n): 3 for n in range(20)}
    assert order != sorted(order, key=int)


def test_chaos_drops_a_share_and_says_so(store: Store, tmp_path: Path) -> None:
    relay = made(store, tmp_path, "drop=0.2,seed=1")
    relay.take("t", [event(n) for n in range(1000)])
    assert 720 < store.waiting() < 880
    assert {d["outcome"] for d in store.deliveries()} == {"dropped by chaos"}
    relay.set_chaos(Chaos(drop=1))
    before = store.waiting()
    relay.take("t", [event("z")])
    assert store.waiting() == before


@pytest.mark.parametrize("text", ["copies=0", "drop=1.1", "shuffle=-1", "colour=red", "copies=x"])
def test_chaos_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Chaos.read(text)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, True),
        ({"subject_begins_with": "/a/"}, True),
        ({"subject_begins_with": "/A/"}, True),
        ({"subject_begins_with": "/b/"}, False),
        ({"event_types": ("other",)}, False),
        ({"apis": ("PutBlob",)}, True),
        ({"apis": ("CopyBlob",)}, False),
    ],
)
def test_filters(filters: dict[str, Any], wanted: bool) -> None:
    subscription = Subscription("s", "t", "http://hook", **filters)
    assert subscription.wants("t", event(1, api="PutBlob")) is wanted
    assert not subscription.wants("another topic", event(1, api="PutBlob"))
    assert subscription.wants("t", {**event(1), "data": ["no object"]}) is (wanted and not filters.get("apis"))
