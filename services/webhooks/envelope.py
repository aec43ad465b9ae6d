"""What a delivery is made of: a CloudEvent in structured mode, signed as Standard Webhooks asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from services.state import Event
from services.webhooks.schemas import address

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


def cloud_event(event: Event, public_url: str) -> dict[str, Any]:
    """The event as the timeline has it, and where the schema of its data is."""
    place = address(public_url, event.type)
    return {**event.model_dump(mode="json"), **({"dataschema": place} if place else {})}


def payload(event: Event, public_url: str) -> bytes:
    """The body of a delivery: the same bytes at every attempt, unless the app has moved."""
    return to_json(cloud_event(event, public_url))


def sign(secrets: Sequence[str], message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers of a delivery, signed with each of the secrets: while one is replaced there are two."""
    from standardwebhooks import Webhook

    text = body.decode()
    signature = " ".join(Webhook(secret).sign(message_id, now, text) for secret in secrets)
    return {
        "content-type": CONTENT_TYPE,
        "user-agent": "Visionloop",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
