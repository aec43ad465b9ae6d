"""Takes events in, lets chaos have its way, and delivers with Event Grid's handshake, batches and retries."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from emulator.event_grid.dead_letters import bury
from emulator.event_grid.events import Event, event_grid_schema
from emulator.event_grid.retries import TAKEN, dead_reason, pause_seconds
from emulator.event_grid.settings import Chaos, Subscription
from emulator.event_grid.store import Pending, Store

RESPONSE_SECONDS = 30
IDLE_SECONDS = 0.05
PARALLEL = 16
"""Requests of one subscription under way at once."""
log = logging.getLogger("event_grid")


class Relay:
    """Everything between a topic and its subscribers."""

    def __init__(self, store: Store, subscriptions: Iterable[Subscription], chaos: Chaos, dead_letters: Path) -> None:
        """`dead_letters` is the folder where what could not be delivered is kept."""
        self.store, self.subscriptions = store, list(subscriptions)
        self.retry_scale = 1.0
        self._dead_letters = dead_letters
        self.validated: set[str] = set()
        self.set_chaos(chaos)

    def set_chaos(self, chaos: Chaos) -> None:
        """Change what goes wrong, from the next event on."""
        self.chaos, self._random = chaos, random.Random(chaos.seed)

    def take(self, topic: str, events: Iterable[Event], numbers: dict[str, int] | None = None) -> None:
        """Accept events durably; `numbers` is remembered in the same transaction."""
        rows: list[tuple[str, Event, float]] = []
        lost: list[tuple[Any, ...]] = []
        for event in events:
            for subscription in (s for s in self.subscriptions if s.wants(topic, event)):
                if self._random.random() < self.chaos.drop:
                    lost.append((subscription.name, event["id"], event["type"], "dropped by chaos", 0, time.time()))
                else:
                    rows += [(subscription.name, event, self._due()) for _ in range(self.chaos.copies)]
        self.store.add(rows, numbers or {})
        self.store.note(lost)

    def _due(self) -> float:
        return time.time() + self.chaos.delay + self._random.uniform(0, self.chaos.shuffle)

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with httpx.AsyncClient(timeout=RESPONSE_SECONDS, limits=httpx.Limits(max_connections=64)) as client:
            await asyncio.gather(*(self._serve(s, client) for s in self.subscriptions))

    async def _serve(self, subscription: Subscription, client: httpx.AsyncClient) -> None:
        while not await self._validate(subscription, client):  # noqa: ASYNC110  # the other side cannot signal
            await asyncio.sleep(0.3)
        held: set[int] = set()
        flights: set[asyncio.Task[None]] = set()
        while True:
            size = subscription.events_per_batch
            found = self.store.due(subscription.name, held, (PARALLEL - len(flights)) * size)
            for batch in (found[i : i + size] for i in range(0, len(found), size)):
                flight = asyncio.create_task(self._deliver(subscription, batch, client))
                ids = {p.id for p in batch}
                held |= ids
                flights.add(flight)
                flight.add_done_callback(partial(_land, held, ids))
            if flights:
                done, flights = await asyncio.wait(flights, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for flight in done:
                    flight.result()
            else:
                await asyncio.sleep(IDLE_SECONDS)

    async def _validate(self, subscription: Subscription, client: httpx.AsyncClient) -> bool:
        """The handshake of the schema; an endpoint that is not there yet is asked again."""
        try:
            good = await _handshake(subscription, client)
        except (httpx.HTTPError, ValueError, KeyError):
            return False
        if good:
            self.validated.add(subscription.name)
            log.info("%s is validated", subscription.name)
        return good

    async def _deliver(self, subscription: Subscription, batch: list[Pending], client: httpx.AsyncClient) -> None:
        status = await _post(subscription, batch, client)
        if status in TAKEN:
            self.store.settle(subscription.name, batch, "delivered")
            return
        oldest, attempts = min(p.created for p in batch), max(p.attempts for p in batch) + 1
        if reason := dead_reason(status, attempts, time.time() - oldest):
            self._give_up(subscription, batch, status, reason)
            return
        wait = pause_seconds(status, attempts, random.random()) * self.retry_scale
        log.warning("%s answered %s; again in %.0f s", subscription.name, status or "nothing", wait)
        self.store.retry(batch, time.time() + wait)

    def _give_up(self, subscription: Subscription, batch: list[Pending], status: int, reason: str) -> None:
        for pending in batch:
            bury(self._dead_letters, subscription, pending, status, reason)
        log.error("%s: %d events are dead letters (%s, status %s)", subscription.name, len(batch), reason, status)
        self.store.settle(subscription.name, batch, f"dead letter after status {status}")


def _land(held: set[int], ids: set[int], _: asyncio.Task[None]) -> None:
    held -= ids


async def _post(subscription: Subscription, batch: list[Pending], client: httpx.AsyncClient) -> int:
    """The status of one delivery; 0 where there was no answer."""
    events = [pending.event for pending in batch]
    headers = {
        "aeg-event-type": "Notification",
        "aeg-subscription-name": subscription.name.upper(),
        "aeg-delivery-count": str(max(pending.attempts for pending in batch)),
        "aeg-metadata-version": "1.0" if subscription.schema == "cloudevents" else "1",
    }
    if subscription.schema == "cloudevents":
        single = subscription.events_per_batch == 1
        kind = "application/cloudevents+json" if single else "application/cloudevents-batch+json"
        body: Any = events[0] if single else events
    else:
        kind, body = "application/json", [event_grid_schema(e) for e in events]
    content = {"content-type": f"{kind}; charset=utf-8"}
    try:
        answer = await client.post(subscription.endpoint, content=json.dumps(body), headers=headers | content)
    except httpx.HTTPError:
        return 0
    return answer.status_code


async def _handshake(subscription: Subscription, client: httpx.AsyncClient) -> bool:
    if subscription.schema == "cloudevents":
        answer = await client.options(subscription.endpoint, headers={"WebHook-Request-Origin": "eventgrid.azure.net"})
        return answer.status_code == 200 and answer.headers.get("WebHook-Allowed-Origin") in {
            "*",
            "eventgrid.azure.net",
        }
    code = str(uuid.uuid4())
    event = {
        "id": str(uuid.uuid4()),
        "topic": subscription.topic,
        "subject": "",
        "data": {"validationCode": code},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "metadataVersion": "1",
        "dataVersion": "2",
    }
    headers = {"aeg-event-type": "SubscriptionValidation"}
    answer = await client.post(subscription.endpoint, json=[event], headers=headers)
    return answer.status_code == 200 and answer.json()["validationResponse"] == code
