"""Queue triggers: polling, lease renewal, retries and the poison queue as the Storage Queues extension does them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from azure.functions.meta import Datum

from emulator.functions_host.bindings import Function, Invoker, resolve

if TYPE_CHECKING:
    from azure.storage.queue import QueueClient, QueueMessage

HOLD_SECONDS = 30
"""A message is hidden this long and renewed while its function runs; the real host takes ten minutes, which would
make a killed process' message wait longer than anybody watches a laptop."""
SHORTEST_POLL_SECONDS = 0.1
MOST_BATCH = 32
log = logging.getLogger("host")


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """host.json, `extensions.queues`; times in seconds."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0
    max_polling_interval: float = 60
    message_encoding: str = "base64"

    @classmethod
    def read(cls, host: dict[str, Any]) -> QueueOptions:
        """From a parsed host.json, with the extension's defaults.

        Raises:
            ValueError: a value with which the extension, and so the host, does not start either.
        """
        found = host.get("extensions", {}).get("queues", {})
        batch = _within("batchSize", int(found.get("batchSize", 16)), 1, MOST_BATCH)
        half = batch // 2 * (os.cpu_count() or 1)
        return cls(
            batch_size=batch,
            new_batch_threshold=_within("newBatchThreshold", int(found.get("newBatchThreshold", half)), 0),
            max_dequeue_count=_within("maxDequeueCount", int(found.get("maxDequeueCount", 5)), 1),
            visibility_timeout=seconds(found.get("visibilityTimeout", "00:00:00")),
            max_polling_interval=max(seconds(found.get("maxPollingInterval", "00:01:00")), SHORTEST_POLL_SECONDS),
            message_encoding=_encoding(str(found.get("messageEncoding", "base64")).lower()),
        )


def _within(name: str, value: int, least: int, most: int | None = None) -> int:
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"host.json: extensions.queues.{name} is {value}: expected {bounds}")
    return value


def _encoding(name: str) -> str:
    if name not in {"base64", "none"}:
        raise ValueError(f"host.json: extensions.queues.messageEncoding is {name!r}: expected base64 or none")
    return name


def seconds(text: str) -> float:
    """`hh:mm:ss` (with an optional fraction) in seconds."""
    hours, minutes, rest = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def connection(name: str) -> str:
    """The queue service's address of an identity-based connection.

    Raises:
        KeyError: `<name>__queueServiceUri` is not set.
    """
    return os.environ[f"{name}__queueServiceUri"]


class QueueListener:
    """Runs one queue-triggered function."""

    def __init__(self, function: Function, invoker: Invoker, options: QueueOptions) -> None:
        """Connect as the app's identity."""
        from azure.identity import DefaultAzureCredential
        from azure.storage.queue import QueueClient

        queue = resolve(str(function.trigger["queueName"]))
        account = connection(str(function.trigger.get("connection") or "AzureWebJobsStorage"))
        credential = DefaultAzureCredential()
        self._queue: QueueClient = QueueClient(account, queue, credential)
        self._poison: QueueClient = QueueClient(account, f"{queue}-poison", credential)
        self._function, self._invoker, self._options = function, invoker, options
        self._busy: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Poll until told to stop, then let what runs finish."""
        pause = SHORTEST_POLL_SECONDS
        while not stopping.is_set():
            found = await self._receive()
            for message in found:
                task = asyncio.create_task(self._handle(message))
                self._busy.add(task)
                task.add_done_callback(self._busy.discard)
            longest = self._options.max_polling_interval
            pause = SHORTEST_POLL_SECONDS if found else min(pause * 1.5, longest)
            await _wait(stopping, pause)
            while len(self._busy) > self._options.new_batch_threshold:
                await asyncio.wait(self._busy, return_when=asyncio.FIRST_COMPLETED)
        if self._busy:
            await asyncio.wait(self._busy)

    async def _receive(self) -> list[QueueMessage]:
        def receive() -> list[QueueMessage]:
            batch = self._options.batch_size
            pages = self._queue.receive_messages(
                messages_per_page=batch, max_messages=batch, visibility_timeout=HOLD_SECONDS
            )
            return list(pages)

        try:
            return await asyncio.to_thread(receive)
        except Exception as error:  # noqa: BLE001  # storage that is away for a moment is polled again
            log.warning("Queue %s cannot be read: %s", self._queue.queue_name, type(error).__name__)
            return []

    async def _handle(self, message: QueueMessage) -> None:
        held = _Held(self._queue, message)
        if int(message.dequeue_count or 0) > self._options.max_dequeue_count:
            # Each attempt ended with the host's own death, so that nobody moved the message.
            await self._quietly(partial(self._poison_it, held))
            return
        renewing = asyncio.create_task(held.keep())
        try:
            await self._invoker.invoke(
                self._function, self._body(message), _metadata(message), reason=f"queue {self._queue.queue_name}"
            )
        except Exception as error:
            log.exception("%s raised", self._function.name)
            unreadable = isinstance(error, binascii.Error | UnicodeDecodeError)
            await self._quietly(partial(self._failed, held, unreadable=unreadable))
        else:
            await self._quietly(held.delete)
        finally:
            renewing.cancel()

    def _body(self, message: QueueMessage) -> Datum:
        content = str(message.content)
        plain = self._options.message_encoding == "none"
        return Datum(content if plain else base64.b64decode(content, validate=True).decode("utf-8"), "string")

    async def _quietly(self, act: Callable[[], Any]) -> None:
        try:
            await asyncio.to_thread(act)
        except Exception as error:  # noqa: BLE001  # the message comes again, as at-least-once means
            log.warning("Message of %s not settled: %s", self._queue.queue_name, type(error).__name__)

    def _failed(self, held: _Held, *, unreadable: bool) -> None:
        if unreadable or int(held.message.dequeue_count or 0) >= self._options.max_dequeue_count:
            self._poison_it(held)
        else:
            held.release(self._options.visibility_timeout)

    def _poison_it(self, held: _Held) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        log.error("Message of %s goes to %s", self._queue.queue_name, self._poison.queue_name)
        try:
            self._poison.send_message(held.message.content)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):
                self._poison.create_queue()
            self._poison.send_message(held.message.content)
        held.delete()


class _Held:
    """A received message, whose pop receipt changes with each renewal."""

    def __init__(self, queue: QueueClient, message: QueueMessage) -> None:
        self._queue, self.message = queue, message
        self._settling = threading.Lock()  # a renewal under way must not invalidate the receipt of the last word
        self._settled = False

    async def keep(self) -> None:
        while not self._settled:
            await asyncio.sleep(HOLD_SECONDS / 2)
            try:
                await asyncio.to_thread(self._renew)
            except Exception as error:  # noqa: BLE001  # the next renewal may reach the storage again
                log.warning("A message of %s is not renewed: %s", self._queue.queue_name, type(error).__name__)

    def _renew(self) -> None:
        with self._settling:
            if not self._settled:
                self._hide(HOLD_SECONDS)

    def _hide(self, seconds: float) -> None:
        changed = self._queue.update_message(self.message, visibility_timeout=int(seconds))
        self.message.pop_receipt = changed.pop_receipt

    def release(self, hidden: float) -> None:
        with self._settling:
            self._settled = True
            self._hide(hidden)

    def delete(self) -> None:
        with self._settling:
            self._settled = True
            self._queue.delete_message(self.message)


def _metadata(message: QueueMessage) -> dict[str, Datum]:
    def text(value: object) -> Datum:
        return Datum(f'"{value.isoformat()}"' if isinstance(value, datetime) else f'"{value}"', "json")

    return {
        "Id": text(message.id),
        "DequeueCount": Datum(str(message.dequeue_count), "json"),
        "ExpirationTime": text(message.expires_on),
        "InsertionTime": text(message.inserted_on),
        "NextVisibleTime": text(message.next_visible_on),
        "PopReceipt": text(message.pop_receipt),
    }


async def _wait(stopping: asyncio.Event, pause: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), pause)
    except TimeoutError:
        return
