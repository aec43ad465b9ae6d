"""What Event Grid does after a delivery: taken, tried again and when, or given up and why.

https://learn.microsoft.com/azure/event-grid/delivery-and-retry
"""

from __future__ import annotations

RETRY_SECONDS = (10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
MOST_ATTEMPTS = 30
MOST_AGE_SECONDS = 24 * 3600
TAKEN = frozenset({200, 201, 202, 203, 204})
"""All else is a failure, other 2xx included."""
NEVER_RETRIED = {
    400: "UndeliverableDueToHttpBadRequest",
    401: "UndeliverableDueToHttpUnauthorized",
    403: "UndeliverableDueToHttpForbidden",
    413: "UndeliverableDueToHttpRequestEntityTooLarge",
}
"""By status, why the event is a dead letter; only the first reason's words are published."""
LEAST_SECONDS = {408: 120, 503: 30}
"""A webhook that answers so is left alone for so long at least."""
SPREAD = 0.05
"""Each wait is longer by up to this share: Azure speaks of a small randomization."""


def dead_reason(status: int, attempts: int, age: float) -> str:
    """Why an event is not tried again after so many attempts and seconds; empty where it is."""
    if status in NEVER_RETRIED:
        return NEVER_RETRIED[status]
    if attempts >= MOST_ATTEMPTS:
        return "MaxDeliveryAttemptsExceeded"
    return "TimeToLiveExceeded" if age > MOST_AGE_SECONDS else ""


def pause_seconds(status: int, attempts: int, dice: float) -> float:
    """How long to wait after so many failed attempts; `dice` is from 0 to 1."""
    scheduled = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
    return max(scheduled, LEAST_SECONDS.get(status, 0)) * (1 + SPREAD * dice)
