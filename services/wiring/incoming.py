"""Who may come in, and what other systems push."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from services import wiring
from services.settings import INBOUND_QUEUE

if TYPE_CHECKING:
    from services.access.console import KeyConsole
    from services.access.door import Door
    from services.cloud.queues import AzureQueue
    from services.inbound.push import Push
    from services.inbound.receive import Inbound
    from services.inbound.sources import Sources
    from services.inbound.suggest import Suggestions
    from services.inbound.work import Worker


@cache
def door() -> Door:
    """Who may ask without a function key."""
    from services.access.door import Door
    from services.access.meter import Meter, Quota
    from services.access.ring import Ring
    from services.access.usage import Usage
    from services.inference.champion import StateReader

    settings, meter = wiring.settings(), Meter(lambda: Usage(wiring.system_store()), wiring.clock)
    quota = Quota(settings.identity_per_minute or None, settings.identity_per_day or None)
    return Door(Ring(StateReader(settings)), meter, wiring.clock, easy_auth=settings.easy_auth, quota=quota)


@cache
def key_console() -> KeyConsole:
    """What people do with client keys."""
    from services.access.console import KeyConsole
    from services.access.keys import Keys
    from services.access.usage import Usage

    return KeyConsole(
        Keys(wiring.system_store(), wiring.clock), Usage(wiring.system_store()), wiring.states().read, wiring.clock
    )


@cache
def inbound_sources() -> Sources:
    """Which systems may send."""
    from services.inbound.sources import Sources

    return Sources(wiring.system_store(), wiring.states(), wiring.clock, wiring.webhook_guard())


@cache
def inbound() -> Inbound:
    """Takes what they send."""
    from services.inbound.later import Later
    from services.inbound.receive import Inbound

    stores = (wiring.data_store(), wiring.system_store())
    later = Later(wiring.system_store(), _inbound_queue())
    return Inbound(stores, wiring.inbound_sources(), later, wiring.settings(), wiring.clock)


@cache
def inbound_worker() -> Worker:
    """Works on what they sent and nobody waits for."""
    from services.inbound.cvat_api import CvatApi
    from services.inbound.work import Worker

    stores, sources = (wiring.data_store(), wiring.system_store()), wiring.inbound_sources()
    return Worker(stores, sources, _inbound_queue(), CvatApi(wiring.webhook_guard()), wiring.waker(), wiring.clock)


@cache
def _inbound_queue() -> AzureQueue:
    from services.cloud.queues import AzureQueue

    return AzureQueue(wiring.settings().system_queue_uri, INBOUND_QUEUE)


@cache
def push() -> Push:
    """Takes what holders of keys send."""
    from services.inbound.push import Push

    return Push(wiring.data_store(), wiring.states(), wiring.settings())


@cache
def suggestions() -> Suggestions:
    """Suggests labels to Label Studio; nothing is captured of what the loop has already."""
    from services.inbound.suggest import Suggestions
    from services.inference.notes import NoteWriter
    from services.inference.predict import Predictor
    from services.inference.record import Recorder

    predictor = Predictor(
        wiring.champions(), wiring.async_scorer(), wiring.settings(), Recorder(NoteWriter(wiring.settings()))
    )
    return Suggestions(
        wiring.data_store(),
        wiring.inbound_sources(),
        predictor,
        wiring.image_fetcher(),
        wiring.settings(),
        wiring.states().read,
        wiring.clock,
    )
