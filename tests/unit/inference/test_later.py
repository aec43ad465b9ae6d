"""Predictions that nobody waits for: made once whatever is repeated or dies, shown as if waited for, forgotten in time."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from services.cloud.fakes import FakeAsyncScorer, FakeCloud, FakeQueue, fake_settings
from services.errors import BadRequest, Conflict, NoChampion, NotFound, TooLarge, UpstreamBusy, VisionloopError
from services.inference.calls import Calls
from services.inference.champion import WAKING_SECONDS, Champions
from services.inference.later import ATTEMPTS, AWAY_SECONDS, FOLDER, LOST, Later
from services.inference.predict import Predictor, Request
from services.inference.wishes import wants_later
from services.state import Event, Resting
from services.webhooks.dispatch import Dispatcher
from services.webhooks.guard import Guard
from services.webhooks.registry import Registry
from tests.support.predictions import jpeg, loop_state
from tests.support.told import wrong

SCORED: Any = {"boxes": [{"label": "a", "score": 0.9, "box": {"topX": 0, "topY": 0, "bottomX": 0.5, "bottomY": 1}}]}
IMAGE = jpeg(40, 30)


class World:
    def __init__(self, *, live: bool = True, resting: bool = False) -> None:
        self.cloud = FakeCloud()
        self.queue, self.scored = FakeQueue(), 0
        self.raises: list[Exception] = []
        self.state = loop_state(live=live)
        if resting:
            self.state.resting = Resting(kind="remove", since=self.cloud.clock())
        self.seconds = 0.0
        settings = fake_settings().model_copy(update={"max_request_bytes": 5000})
        calls = Calls(sleep=lambda _: asyncio.sleep(0))
        scorer = FakeAsyncScorer(self.score)
        champions = Champions(
            lambda name, etag: (200, "1", self.state.model_dump_json().encode()), lambda: self.seconds
        )
        predictor = Predictor(champions, scorer, settings, calls=calls)
        system, clock = self.cloud.system, self.cloud.clock
        self.registry = Registry(system, clock, Guard(allow_local=False, resolve=lambda host, port: ["8.8.8.8"]))
        webhooks = (self.registry, Dispatcher(self.registry, self.cloud.deliveries))
        self.later = Later(system, self.queue, predictor, webhooks, settings, clock)

    def score(self, slot: str, image: bytes) -> Any:
        self.scored += 1
        if self.raises:
            raise self.raises.pop(0)
        return SCORED

    def wake(self) -> None:
        self.state.resting = None
        self.seconds += 60

    def accept(self, body: bytes = IMAGE, key: str = "", **query: str) -> str:
        headers = {"content-type": "image/jpeg", "prefer": "respond-async", "idempotency-key": key}
        status, reply = asyncio.run(self.later.accept(Request("cards", body, headers, query)))
        found = json.loads(reply.content)
        assert (status, found["status"], reply.headers["location"]) == (202, "waiting", found["path"])
        return str(found["id"])

    def work(self, attempt: int = 1) -> None:
        sent, self.queue.sent = self.queue.sent, []
        for body, _ in sent:
            asyncio.run(self.later.make(body, attempt))

    def show(self, number: str) -> tuple[int, Any]:
        status, reply = self.later.show("cards", number)
        return status, json.loads(reply.content)


def test_it_is_shown_as_if_it_had_been_waited_for() -> None:
    w = World()
    number = w.accept(threshold="0.5")
    assert w.show(number)[0] == 202
    w.work()
    status, found = w.show(number)
    assert (status, found["predictions"][0]["box"]["x2"], w.scored) == (200, 20, 1)
    assert w.later.show("cards", number).reply.headers["x-visionloop-slot"] == "blue"


def test_a_picture_is_kept_as_a_picture() -> None:
    w = World()
    number = w.accept(render="jpeg")
    w.work()
    assert w.later.show("cards", number).reply.content.startswith(b"\xff\xd8\xff")


def test_a_message_that_comes_twice_makes_it_once() -> None:
    w = World()
    w.accept()
    [(body, _)] = w.queue.sent
    for _ in range(3):
        asyncio.run(w.later.make(body, 1))
    assert w.scored == 1


def test_one_key_is_one_prediction() -> None:
    w = World()
    assert w.accept(key="order-7") == w.accept(key="order-7") != w.accept(key="order-8")
    w.work()
    assert w.scored == 2
    for changed in ({"body": jpeg(30, 30)}, {"top_k": "1"}):
        with pytest.raises(Conflict):
            w.accept(**{"key": "order-7", **changed})  # type: ignore[arg-type]
    assert w.show(w.accept(key="order-7"))[0] == 200


def test_clients_have_keys_of_their_own() -> None:
    """Two that count their orders met: the second was told of a conflict, and how often the first had asked."""
    w = World()
    request = Request("cards", IMAGE, {"content-type": "image/jpeg", "idempotency-key": "1"})
    other = Request("cards", jpeg(30, 30), request.headers)
    first, second, again = (
        json.loads(asyncio.run(w.later.accept(r, "/api/client", who)).reply.content)["id"]
        for r, who in ((request, "key a"), (other, "key b"), (request, "key a"))
    )
    assert first == again != second
    with pytest.raises(Conflict):
        asyncio.run(w.later.accept(other, "/api/client", "key a"))


def test_errors_of_the_request_are_its_outcome() -> None:
    w = World()
    number = w.accept(b"GIF89a")
    w.work()
    status, found = w.show(number)
    assert (status, found["type"]) == (415, "urn:visionloop:problem:unsupported-media")


def test_what_may_pass_by_is_tried_again_and_the_last_failure_is_the_outcome() -> None:
    w = World()
    number = w.accept()
    [(body, _)] = w.queue.sent
    for attempt in range(1, ATTEMPTS):
        w.raises = [UpstreamBusy("503", retry_after=99)]
        with pytest.raises(UpstreamBusy):
            asyncio.run(w.later.make(body, attempt))
        assert w.show(number)[0] == 202
    w.raises = [UpstreamBusy("503", retry_after=99)]
    asyncio.run(w.later.make(body, ATTEMPTS))
    assert w.show(number)[0] == 503


def test_while_the_endpoint_wakes_it_is_kept_and_made_once_it_is_awake() -> None:
    """Its outcome was that the endpoint wakes, 202, for good."""
    w = World(resting=True)
    number = w.accept()
    for attempt in (1, ATTEMPTS, 1):
        [(body, _)] = w.queue.sent
        w.queue.sent.clear()
        asyncio.run(w.later.make(body, attempt))
        assert [delay for _, delay in w.queue.sent] == [WAKING_SECONDS]
        status, found = w.show(number)
        assert (status, found["status"]) == (202, "waiting")
    w.wake()
    w.work()
    assert w.show(number)[0] == 200


@pytest.mark.parametrize(("body", "error"), [(b"", BadRequest), (b"x" * 5001, TooLarge)], ids=["empty", "long"])
def test_while_the_endpoint_wakes_sense_is_asked_for_too(body: bytes, error: type[VisionloopError]) -> None:
    w = World(resting=True)
    with pytest.raises(error):
        asyncio.run(w.later.accept(Request("cards", body)))
    assert w.queue.sent == []


@pytest.mark.parametrize(("body", "error"), [(b"", BadRequest), (b"x" * 5001, TooLarge)], ids=["empty", "long"])
def test_what_makes_no_sense_is_refused_at_once(body: bytes, error: type[VisionloopError]) -> None:
    w = World()
    with pytest.raises(error):
        asyncio.run(w.later.accept(Request("cards", body)))
    assert (w.queue.sent, list(w.cloud.system.list(FOLDER))) == ([], [])


def test_without_a_model_nothing_is_kept() -> None:
    w = World(live=False)
    with pytest.raises(NoChampion):
        w.accept()
    assert w.queue.sent == []


@pytest.mark.parametrize("number", ["", "x", "0" * 32, "../../state/cards", "0" * 31 + "G"])
def test_an_unknown_prediction_is_404(number: str) -> None:
    with pytest.raises(NotFound):
        World().later.show("cards", number)


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", '{"loop": "../x", "id": "0"}', json.dumps({"loop": "cards", "id": "0" * 32})]
)
def test_a_message_of_nobody_is_said(body: str) -> None:
    with pytest.raises(BadRequest):
        asyncio.run(World().later.make(body, 1))


def test_a_webhook_is_told_once_it_is_made() -> None:
    w = World()
    endpoint = w.registry.add({"url": "https://example.com/hook"})
    number = w.accept(notify=endpoint.id)
    assert w.cloud.deliveries.sent == []
    [(body, _)] = w.queue.sent
    asyncio.run(w.later.make(body, 1))
    asyncio.run(w.later.make(body, 1))
    sent = [json.loads(text) for text, _ in w.cloud.deliveries.sent]
    assert len({one["delivery"] for one in sent}) == 1
    event = sent[0]["event"]
    assert (event["type"], event["data"]["prediction"], event["data"]["status"]) == (
        "visionloop.prediction.done", number, 200,
    )  # fmt: skip
    assert wrong(Event.model_validate(event)) == []
    with pytest.raises(NotFound):
        w.accept(notify="ep_0000000000000000")
    endpoint = w.registry.add({"url": "https://receiver.example/"})
    w.registry.disable(endpoint.id, "it answered 410 Gone")
    with pytest.raises(Conflict, match="is disabled: it answered 410 Gone"):
        w.accept(notify=endpoint.id)


def test_they_are_forgotten_in_time() -> None:
    w = World()
    old = w.accept()
    w.work()
    w.cloud.clock.advance(timedelta(hours=20).total_seconds())
    new = w.accept()
    w.cloud.clock.advance(timedelta(hours=5).total_seconds())
    assert w.later.forget() == 4
    assert w.show(new)[0] == 202
    with pytest.raises(NotFound, match="24 hours"):
        w.show(old)


def test_what_is_forgotten_is_forgotten_whole() -> None:
    """An outcome that came long after its request stayed, and was told to the next one with the same key."""
    w = World()
    number = w.accept(key="daily")
    w.cloud.clock.advance(timedelta(hours=1).total_seconds())
    w.work()
    w.cloud.clock.advance(timedelta(hours=23, minutes=30).total_seconds())
    assert (w.later.forget(), w.show(number)[0]) == (0, 200)
    w.cloud.clock.advance(timedelta(hours=1).total_seconds())
    assert w.later.forget() == 4
    assert w.accept(jpeg(30, 30), key="daily") == number
    assert w.show(number)[0] == 202


def test_where_the_process_dies_at_every_attempt_somebody_says_so() -> None:
    w = World()
    endpoint = w.registry.add({"url": "https://example.com/hook"})
    number = w.accept(notify=endpoint.id)
    [(body, _)] = w.queue.sent

    for attempt in range(1, ATTEMPTS + 1):
        w.raises = [Killed()]
        with pytest.raises(Killed):
            asyncio.run(w.later.make(body, attempt))
    w.later.forget()
    assert w.show(number)[0] == 202
    w.cloud.clock.advance(LOST.total_seconds() + 1)
    w.later.forget()
    assert w.show(number)[0] == 502
    w.later.forget()
    [(told, _)] = w.cloud.deliveries.sent
    assert json.loads(told)["event"]["data"]["status"] == 502


def test_one_that_waits_for_the_endpoint_after_its_last_attempt_is_not_lost() -> None:
    w = World(resting=True)
    number = w.accept()
    w.work(ATTEMPTS)
    w.cloud.clock.advance(LOST.total_seconds() + 1)
    w.later.forget()
    assert w.show(number)[0] == 202


def away_at_every_attempt(w: World, call: str) -> None:
    """The message is sent again, and made once storage is back."""

    def hook(made: str) -> None:
        if made == call:
            raise UpstreamBusy("storage is away")

    w.cloud.on_call = hook
    [(body, _)] = w.queue.sent
    for attempt in range(1, ATTEMPTS):
        with pytest.raises(UpstreamBusy):
            asyncio.run(w.later.make(body, attempt))
    w.work(ATTEMPTS)
    w.cloud.on_call = lambda _: None
    assert [delay for _, delay in w.queue.sent] == [AWAY_SECONDS]
    w.work()


@pytest.mark.parametrize("call", ["before:blob.read", "before:blob.write"])
def test_storage_that_is_away_at_every_attempt_loses_no_prediction(call: str) -> None:
    w = World()
    number = w.accept()
    away_at_every_attempt(w, call)
    assert w.show(number)[0] == 200


def test_a_queue_of_deliveries_that_is_away_at_every_attempt_keeps_nobody_untold() -> None:
    w = World()
    w.accept(notify=w.registry.add({"url": "https://example.com/hook"}).id)
    away_at_every_attempt(w, "before:queue.send")
    assert (w.scored, len(w.cloud.deliveries.sent)) == (1, 1)


def test_who_dies_at_the_last_attempt_while_the_endpoint_wakes_leaves_it_to_somebody() -> None:
    """Either a message is queued, or it is known that nobody makes it."""
    for at in range(60):
        w, left = World(resting=True), [4 + at]  # before, nothing is written
        w.queue.on_call = lambda call, cloud=w.cloud: cloud.on_call(call)  # type: ignore[misc]

        def hook(_: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise Killed

        number = w.accept()
        [(body, _)] = w.queue.sent
        w.queue.sent = []
        w.cloud.on_call = hook
        try:
            asyncio.run(w.later.make(body, ATTEMPTS))
        except Killed:
            w.cloud.on_call = lambda _: None
            w.wake()
            w.work()
            w.cloud.clock.advance(LOST.total_seconds() + 1)
            w.later.forget()
            assert w.show(number)[0] != 202, f"killed at call {at}"
        else:
            assert at > 3
            return
    raise AssertionError("it never came through")


def test_what_is_forgotten_in_part_tells_no_outcome_of_another_request() -> None:
    w = World()
    w.accept(key="daily")
    w.work()
    w.cloud.clock.advance(timedelta(hours=25).total_seconds())
    left = [4]

    def hook(call: str) -> None:
        left[0] -= call == "before:blob.delete"
        if left[0] == 0:
            raise Killed

    w.cloud.on_call = hook
    with pytest.raises(Killed):
        w.later.forget()
    w.cloud.on_call = lambda _: None
    assert [blob.name.rpartition("/")[2] for blob in w.cloud.system.list(FOLDER)] == ["asked.json"]


class Killed(Exception):
    pass


def test_a_process_may_die_at_any_line() -> None:
    """Whatever call it dies before or after, the repeated message makes the prediction."""
    for at in range(200):
        w, left = World(), [at]

        def hook(_: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise Killed

        number = w.accept(key="once")
        [(body, _)] = w.queue.sent
        w.cloud.on_call = hook
        try:
            asyncio.run(w.later.make(body, 1))
        except Killed:
            asyncio.run(w.later.make(body, 2))
            assert w.show(number)[0] == 200
        else:
            assert at > 5, "the hook was called"
            return
    raise AssertionError("it never came through")


@pytest.mark.parametrize(
    ("prefer", "later"),
    [
        ("respond-async", True),
        ("wait=5, respond-async", True),
        ("Respond-Async;x", True),
        ("wait=5", False),
        ("", False),
    ],
)
def test_who_prefers_not_to_wait(prefer: str, later: bool) -> None:
    assert wants_later({"prefer": prefer}) is later
