"""Puts one message a receiver on the delivery queue; handing an event over twice makes the same delivery."""

from __future__ import annotations

from collections.abc import Sequence

from services.cloud.ports.storage import Queue
from services.names import digest
from services.state import Event
from services.webhooks.message import Message, put
from services.webhooks.registry import Registry


def delivery_id(event_id: str, endpoint_id: str) -> str:
    """One id for one event and one receiver: it is what a receiver recognises a repetition by."""
    return f"msg_{digest(event_id, endpoint_id, length=24)}"


class Dispatcher:
    """Hands events to the delivery queue."""

    def __init__(self, registry: Registry, queue: Queue) -> None:
        """`queue` is what the function `deliver` reads."""
        self._registry, self._queue = registry, queue

    def dispatch(self, events: Sequence[Event], but: str = "") -> None:
        """Queue every event for every receiver that wants it, but one."""
        endpoints = self._registry.list()
        for event in events:
            for endpoint in endpoints:
                if endpoint.id != but and endpoint.wants(event):
                    self.send(event, endpoint.id)

    def send(self, event: Event, endpoint_id: str) -> str:
        """Queue one event for one receiver; returns the delivery's id."""
        delivery = delivery_id(event.id, endpoint_id)
        message = Message(delivery=delivery, endpoint=endpoint_id, event=event, attempt=1)
        put(self._registry.system, self._queue, message)
        return delivery
