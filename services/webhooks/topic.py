"""The topic of Event Grid that the app's settings name: one receiver more, told of everything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from services.names import digest
from services.webhooks.endpoint import Endpoint
from services.webhooks.receiver import ANSWER_CHARACTERS, Answer

NEVER = frozenset({400, 413})
"""Of an event that the topic will not take the next time either: wrong, or too large."""


class Topic(Protocol):
    """Publishes a CloudEvent, given as JSON has it; answers status, what was said, and Retry-After in seconds."""

    def publish(self, event: dict[str, Any]) -> tuple[int, str, float | None]: ...


def topic_endpoint(address: str) -> Endpoint:
    """The topic as the registry lists it. Its id follows from its address: another topic is another receiver."""
    return Endpoint(
        id=f"ep_{digest('event_grid', address, length=16)}",
        kind="event_grid",
        url=address,
        description="The topic of Event Grid that the app's settings name",
        secret="",
        created=datetime(1970, 1, 1, tzinfo=UTC),
    )


def publish(topic: Topic, event: dict[str, Any]) -> Answer:
    """One attempt, as the delivery log has it."""
    status, said, wait = topic.publish(event)
    return Answer(status, said[:ANSWER_CHARACTERS], wait)
