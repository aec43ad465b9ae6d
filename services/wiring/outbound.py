"""Webhooks."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from services import wiring
from services.settings import DELIVERY_QUEUE

if TYPE_CHECKING:
    from services.cloud.event_topic import AzureEventTopic
    from services.cloud.queues import AzureQueue
    from services.webhooks.console import Console
    from services.webhooks.deliver import Deliverer
    from services.webhooks.dispatch import Dispatcher
    from services.webhooks.guard import Guard
    from services.webhooks.log import LogRetention
    from services.webhooks.registry import Registry
    from services.webhooks.replay import Replay


@cache
def dispatcher() -> Dispatcher:
    """Hands events to webhooks."""
    from services.webhooks.dispatch import Dispatcher

    return Dispatcher(wiring.webhooks(), wiring.delivery_queue())


@cache
def delivery_queue() -> AzureQueue:
    """The queue of webhook deliveries."""
    from services.cloud.queues import AzureQueue

    return AzureQueue(wiring.settings().system_queue_uri, DELIVERY_QUEUE)


@cache
def webhooks() -> Registry:
    """Who is told of what."""
    from services.webhooks.registry import Registry
    from services.webhooks.topic import topic_endpoint

    address = wiring.settings().event_topic_endpoint
    topic = topic_endpoint(address) if address else None
    return Registry(wiring.system_store(), wiring.clock, wiring.webhook_guard(), topic)


@cache
def event_topic() -> AzureEventTopic | None:
    """The topic of Event Grid that the settings name, if they do."""
    from services.cloud.event_topic import AzureEventTopic

    address, key = wiring.settings().event_topic_endpoint, wiring.settings().event_topic_key.get_secret_value()
    return AzureEventTopic(address, key) if address else None


@cache
def webhook_guard() -> Guard:
    """Where deliveries may go."""
    from services.webhooks.guard import Guard

    return Guard(allow_local=wiring.settings().allow_local_webhooks)


@cache
def webhook_console() -> Console:
    """What people do with webhooks."""
    from services.webhooks.console import Console
    from services.webhooks.handshake import Handshake, origin_of
    from services.webhooks.sender import HANDSHAKE_SECONDS, HttpSender

    parts = (wiring.system_store(), wiring.webhooks(), wiring.dispatcher(), wiring.clock)
    ask = HttpSender(wiring.webhook_guard(), HANDSHAKE_SECONDS).ask
    public_url = wiring.settings().public_url
    return Console(*parts, Handshake(ask, origin_of(public_url), public_url))


@cache
def webhook_replay() -> Replay:
    """Sends events again."""
    from services.webhooks.replay import Replay

    return Replay(
        wiring.system_store(),
        wiring.webhooks(),
        wiring.delivery_queue(),
        wiring.timeline(),
        wiring.states().loops,
        wiring.clock,
        wiring.delivery_log(),
    )


@cache
def delivery_log() -> LogRetention:
    """Forgets old deliveries."""
    from services.webhooks.log import LogRetention

    return LogRetention(wiring.system_store(), wiring.settings().delivery_log_days, wiring.clock)


@cache
def deliverer() -> Deliverer:
    """Works on the delivery queue."""
    from services.webhooks.deliver import Deliverer
    from services.webhooks.sender import HttpSender

    return Deliverer(
        wiring.system_store(),
        wiring.webhooks(),
        wiring.delivery_queue(),
        HttpSender(wiring.webhook_guard()),
        wiring.clock,
        wiring.settings().public_url,
        wiring.event_topic(),
    )
