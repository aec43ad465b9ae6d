"""What somebody sent and is worked on later: its body is kept, and a message of the queue names it."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, Field

from services.cloud.ports.storage import BlobStore, Queue


class Message(BaseModel):
    """A message of the inbound queue."""

    source: str = Field(pattern=r"^in_[0-9a-f]{16}$")
    body: str = Field(pattern=r"^[0-9a-f]{64}$")
    attempt: int = Field(1, ge=1)


class Later:
    """Keeps a body and queues the work on it."""

    def __init__(self, system: BlobStore, queue: Queue) -> None:
        """`queue` is what the function `inbound_later` reads."""
        self._system, self._queue = system, queue

    def keep(self, source: str, body: bytes) -> None:
        """Keep a body, one blob for one content, before its message: what is queued is there."""
        message = Message(source=source, body=key_of(body))
        self._system.write(body_of(message), body)
        self._queue.send(message.model_dump_json())


def key_of(body: bytes) -> str:
    """What a message without an id is recognised by."""
    return hashlib.sha256(body).hexdigest()


def body_of(message: Message) -> str:
    """The blob of its body."""
    return f"inbound/{message.source}/bodies/{message.body}.json"
