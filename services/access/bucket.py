"""A token bucket: so many a minute, all of which may come at once, then one after the other."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE = 60.0


@dataclass(slots=True)
class Bucket:
    """`tokens` as they were at `at`, in seconds of a clock that never goes backwards."""

    tokens: float
    at: float

    def take(self, per_minute: int, now: float) -> float:
        """Take one token: 0, or where there is none, the seconds until there is."""
        tokens = min(per_minute, self.tokens + (now - self.at) * per_minute / MINUTE)
        taken = tokens >= 1
        self.tokens, self.at = tokens - taken, now
        return 0.0 if taken else (1 - tokens) * MINUTE / per_minute
