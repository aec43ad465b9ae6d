"""Tells Event Grid what happened; an event is forgotten only once the topic has it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

import httpx

from emulator.azure_ml.config import Config
from emulator.azure_ml.faults import Faults
from emulator.azure_ml.store import Body, Store

POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0
log = logging.getLogger("azure_ml")


async def publish(config: Config, store: Store, faults: Faults) -> None:
    """Publish until cancelled."""
    if config.event_topic is None:
        return
    async with httpx.AsyncClient(timeout=10, headers={"aeg-sas-key": config.event_topic["key"]}) as client:
        while True:
            try:
                await _publish(client, config.event_topic["url"], store, faults)
            except sqlite3.OperationalError:  # no room on the disk: what was published is published again
                log.exception("Events cannot be forgotten")
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(POLL_SECONDS)


async def _publish(client: httpx.AsyncClient, url: str, store: Store, faults: Faults) -> None:
    waiting = [(n, e) for n, e in store.events() if not _dropped(store, faults, n, e)]
    if waiting and await _post(client, url, [event for _, event in waiting]):
        store.forget_events([number for number, _ in waiting])


def _dropped(store: Store, faults: Faults, number: int, event: Body) -> bool:
    dropped = faults.spend(("drop_event",), f"{event['type']} {event['subject']}") is not None
    if dropped:
        store.forget_events([number])
    return dropped


async def _post(client: httpx.AsyncClient, url: str, events: list[Body]) -> bool:
    try:
        answer = await client.post(url, json=events)
    except httpx.HTTPError:
        await asyncio.sleep(RETRY_SECONDS)
        return False
    if answer.status_code != 200:
        log.warning("The topic answered %s", answer.status_code)
        await asyncio.sleep(RETRY_SECONDS)
    return answer.status_code == 200
