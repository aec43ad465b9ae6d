"""When a delivery is tried again: the schedule of Standard Webhooks."""

from __future__ import annotations

PAUSES_SECONDS = (5, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""After the first attempt, which is made at once."""
MOST_ATTEMPTS = len(PAUSES_SECONDS) + 1
JITTER = 0.1
LONGEST_SECONDS = 6 * 24 * 3600
"""A queue hides a message for seven days at most."""


def pause(attempt: int, asked: float | None, dice: float) -> float | None:
    """Seconds until the next attempt after the one of this number (from 1); None where it was the last.

    `asked` is the receiver's Retry-After in seconds, `dice` in [0, 1) spreads what would come at once.
    """
    if attempt >= MOST_ATTEMPTS:
        return None
    planned = PAUSES_SECONDS[attempt - 1] * (1 + JITTER * dice)
    return min(LONGEST_SECONDS, max(planned, asked or 0.0))
