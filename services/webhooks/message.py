"""What the delivery queue holds: one attempt at one delivery.

A loop of a thousand classes has events that no queue takes: these are left to the log of deliveries, which keeps what
is sent anyway, and the message has none.
"""

from __future__ import annotations

from contextlib import suppress

from pydantic import BaseModel, Field

from services.cloud.ports.storage import MOST_QUEUE_BYTES, BlobStore, Queue
from services.errors import ChangedMeanwhile
from services.state import Event
from services.webhooks.log import file_of, first


class Message(BaseModel):
    """One attempt."""

    delivery: str = Field(pattern=r"^msg_[0-9a-f]{24}$")
    endpoint: str = Field(pattern=r"^ep_[0-9a-f]{16}$")
    event: Event | None = None
    """None where the log of deliveries holds it."""
    attempt: int = Field(ge=1)
    paced: bool = False
    """Whether this is the moment that was reserved for it."""


def put(system: BlobStore, queue: Queue, message: Message, delay: float = 0) -> None:
    """Queue an attempt; `delay` in seconds."""
    body = message.model_dump_json()
    if message.event is not None and len(body.encode()) > MOST_QUEUE_BYTES:
        kept = first(message.delivery, message.endpoint, message.event)
        with suppress(ChangedMeanwhile):  # it is there already
            system.write(file_of(kept.endpoint, kept.id), kept.model_dump_json().encode(), create=True)
        body = message.model_copy(update={"event": None}).model_dump_json()
    queue.send(body, delay=delay)
