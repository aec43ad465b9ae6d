"""Tells Event Grid what happened; an event is forgotten only once the topic has it."""

from __future__ import annotations

import asyncio
import logging

import httpx

from emulator.azure_ml.config import Config
from emulator.azure_ml.faults import Faults
from emulator.azure_ml.store import Store

POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0
log = logging.getLogger("azure_ml")


async def publish(config: Config, store: Store, faults: Faults) -> None:
    """Publish until cancelled."""
    if config.event_topic is None:
        return
    async with httpx.AsyncClient(timeout=10, headers={"aeg-sas-key": config.event_topic["key"]}) as client:
        while True:
            waiting = store.events()
            events = [e for _, e in waiting if not faults.spend(("drop_event",), f"{e['type']} {e['subject']}")]
            if waiting and await _post(client, config.event_topic["url"], events):
                store.forget_events(waiting[-1][0])
            await asyncio.sleep(POLL_SECONDS)


async def _post(client: httpx.AsyncClient, url: str, events: list[dict[str, object]]) -> bool:
    if not events:
        return True
    try:
        answer = await client.post(url, json=events)
    except httpx.HTTPError:
        await asyncio.sleep(RETRY_SECONDS)
        return False
    if answer.status_code != 200:
        log.warning("The topic answered %s", answer.status_code)
        await asyncio.sleep(RETRY_SECONDS)
    return answer.status_code == 200
