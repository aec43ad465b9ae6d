"""Dead letters as Event Grid writes them into a container: the event in its subscription's schema, and why.

https://learn.microsoft.com/azure/event-grid/delivery-and-retry#dead-letter-events
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from emulator.event_grid.events import event_grid_schema
from emulator.event_grid.settings import Subscription
from emulator.event_grid.store import Pending

_OUTCOMES = {
    0: "TimedOut",
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "TimedOut",
    413: "PayloadTooLarge",
    503: "Busy",
}


def dead_letter(subscription: Subscription, pending: Pending, status: int, reason: str, now: float) -> dict[str, Any]:
    """The event with its fate; in a CloudEvent names are lower-case, as its specification wants them."""
    fate: dict[str, Any] = {
        "deadLetterReason": reason,
        "deliveryAttempts": pending.attempts + 1,
        "lastDeliveryOutcome": _OUTCOMES.get(status, "GenericError"),
        "lastHttpStatusCode": status,
        "publishTime": _moment(pending.created),
        "lastDeliveryAttemptTime": _moment(now),
    }
    if subscription.schema == "cloudevents":
        return {**pending.event, **{name.lower(): value for name, value in fate.items()}}
    return {**event_grid_schema(pending.event), **fate}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def bury(folder: Path, subscription: Subscription, pending: Pending, status: int, reason: str) -> None:
    """Write one event's file, a list as Azure's are."""
    folder.mkdir(parents=True, exist_ok=True)
    name = quote(str(pending.event["id"]), safe="")[:120]  # a publisher chooses ids: no paths from them
    letter = dead_letter(subscription, pending, status, reason, time.time())
    (folder / f"{subscription.name}-{name}.json").write_text(json.dumps([letter]))
