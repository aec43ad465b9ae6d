"""Queue triggers against a queue in memory: what becomes of a message, as the Storage Queues extension has it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import azure.functions as func
import pytest

from emulator.functions_host.bindings import Function, Invoker
from emulator.functions_host.queues import QueueListener, QueueOptions


@dataclass
class Queue:
    """A queue, whose messages are received in turn."""

    messages: list[Any] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    hidden: list[tuple[str, int]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    queue_name: str = "wake"

    def receive_messages(self, *, messages_per_page: int, max_messages: int, visibility_timeout: int) -> list[Any]:
        assert (messages_per_page, visibility_timeout) == (max_messages, 30)
        found, self.messages = self.messages[:max_messages], self.messages[max_messages:]
        self.batches.append(len(found))
        return found

    def update_message(self, message: Any, *, visibility_timeout: int) -> Any:
        self.hidden.append((message.id, visibility_timeout))
        return SimpleNamespace(pop_receipt="next")

    def delete_message(self, message: Any) -> None:
        self.deleted.append(message.id)

    def send_message(self, content: str) -> None:
        self.sent.append(content)


def message(name: str, text: str, dequeued: int = 1, *, encoded: bool = True) -> Any:
    content = base64.b64encode(text.encode()).decode() if encoded else text
    times = dict.fromkeys(("expires_on", "inserted_on", "next_visible_on"), datetime(2026, 11, 21, tzinfo=UTC))
    return SimpleNamespace(id=name, content=content, dequeue_count=dequeued, pop_receipt="first", **times)


@dataclass
class World:
    queue: Queue = field(default_factory=Queue)
    poison: Queue = field(default_factory=Queue)
    seen: list[str] = field(default_factory=list)

    def settled(self) -> int:
        return len(self.queue.deleted) + len(self.queue.hidden)

    def run(self, options: dict[str, Any], act: Callable[[str], None] = lambda _: None) -> None:
        """Until every message is settled."""
        expected = len(self.queue.messages)

        def wake(told: func.QueueMessage) -> None:
            text = told.get_body().decode()
            self.seen.append(text)
            act(text)

        binding = {"type": "queueTrigger", "name": "told", "queueName": "wake"}
        read = QueueOptions.read({"extensions": {"queues": options}})
        listener = QueueListener(Function("wake", wake, binding, False), Invoker(60), read)

        async def running() -> None:
            stopping = asyncio.Event()
            task = asyncio.create_task(listener.run(stopping))
            while self.settled() < expected:  # noqa: ASYNC110  # a test looks from outside
                await asyncio.sleep(0.01)
            stopping.set()
            await task

        asyncio.run(asyncio.wait_for(running(), 60))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    queues = {"wake": found.queue, "wake-poison": found.poison}
    monkeypatch.setattr("azure.storage.queue.QueueClient", lambda _account, name, _credential: queues[name])
    monkeypatch.setenv("AzureWebJobsStorage__queueServiceUri", "https://127.0.0.1:1/account")
    return found


def fail(_: str) -> None:
    raise ValueError("on purpose")


def test_what_succeeds_is_deleted(world: World) -> None:
    world.queue.messages = [message("1", "one"), message("2", "zwö")]
    world.run({})
    assert sorted(world.seen) == ["one", "zwö"]
    assert sorted(world.queue.deleted) == ["1", "2"]


def test_what_fails_comes_again_after_the_visibility_timeout(world: World) -> None:
    world.queue.messages = [message("1", "one", 4)]
    world.run({"visibilityTimeout": "00:00:10"}, fail)
    assert (world.queue.hidden, world.queue.deleted, world.poison.sent) == ([("1", 10)], [], [])


def test_what_fails_for_the_last_time_is_poison(world: World) -> None:
    world.queue.messages = [message("1", "one", 5)]
    world.run({}, fail)
    assert (world.queue.deleted, world.poison.sent) == (["1"], [base64.b64encode(b"one").decode()])


def test_what_killed_its_host_too_often_is_poison_without_another_try(world: World) -> None:
    world.queue.messages = [message("1", "one", 3)]
    world.run({"maxDequeueCount": 2})
    assert (world.seen, world.queue.deleted, len(world.poison.sent)) == ([], ["1"], 1)


@pytest.mark.parametrize("content", ["no base64!", base64.b64encode(b"\xff").decode()])
def test_what_cannot_be_decoded_is_poison_at_once(world: World, content: str) -> None:
    world.queue.messages = [message("1", content, encoded=False)]
    world.run({})
    assert (world.seen, world.queue.deleted, world.poison.sent) == ([], ["1"], [content])


def test_messages_may_be_plain_text(world: World) -> None:
    world.queue.messages = [message("1", "no base64!", encoded=False)]
    world.run({"messageEncoding": "none"})
    assert (world.seen, world.queue.deleted) == (["no base64!"], ["1"])


def test_batches_are_as_large_as_was_asked_for(world: World) -> None:
    world.queue.messages = [message(str(n), "x") for n in range(7)]
    world.run({"batchSize": 3, "newBatchThreshold": 0})
    assert [size for size in world.queue.batches if size] == [3, 3, 1]
    assert len(world.queue.deleted) == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batchSize": 33}, "batchSize is 33: expected from 1 to 32"),
        ({"batchSize": 0}, "batchSize is 0"),
        ({"maxDequeueCount": 0}, "maxDequeueCount is 0: expected at least 1"),
        ({"newBatchThreshold": -1}, "newBatchThreshold is -1"),
        ({"messageEncoding": "hex"}, "expected base64 or none"),
    ],
)
def test_options_with_which_the_host_does_not_start(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        QueueOptions.read({"extensions": {"queues": options}})
