"""Subscriptions and chaos, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

RETRY_SECONDS = (10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""https://learn.microsoft.com/azure/event-grid/delivery-and-retry#retry-schedule"""
MOST_ATTEMPTS = 30
MOST_AGE_SECONDS = 24 * 3600
NEVER_RETRIED = frozenset({400, 401, 403, 413})


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who is told of what, and how. Empty filters let everything through."""

    name: str
    topic: str
    endpoint: str
    schema: str = "cloudevents"
    subject_begins_with: str = ""
    event_types: tuple[str, ...] = ()
    apis: tuple[str, ...] = ()
    events_per_batch: int = 1

    def wants(self, topic: str, event: dict[str, Any]) -> bool:
        """Whether the event passes the filters."""
        data = event.get("data") or {}
        return (
            topic == self.topic
            and str(event.get("subject", "")).startswith(self.subject_begins_with)
            and (not self.event_types or event["type"] in self.event_types)
            and (not self.apis or data.get("api") in self.apis)
        )


@dataclass(frozen=True, slots=True)
class Chaos:
    """What goes wrong on purpose: `copies` of each event, each up to `shuffle` seconds late; `drop` is a share lost."""

    copies: int = 1
    shuffle: float = 0.0
    delay: float = 0.0
    drop: float = 0.0
    seed: int = 0

    @classmethod
    def read(cls, text: str) -> Chaos:
        """From `copies=3,shuffle=5,drop=0.2,seed=1`.

        Raises:
            ValueError: naming what is not known or not in range.
        """
        given = dict(part.strip().partition("=")[::2] for part in text.split(",") if part.strip())
        return cls.of(given)

    @classmethod
    def of(cls, given: dict[str, Any]) -> Chaos:
        """From names and values.

        Raises:
            ValueError: naming what is not known or not in range.
        """
        known = [f.name for f in fields(cls)]
        if unknown := set(given) - set(known):
            raise ValueError(f"chaos knows {', '.join(known)}, not {', '.join(sorted(unknown))}")
        found = cls(
            copies=int(given.get("copies", 1)),
            shuffle=float(given.get("shuffle", 0)),
            delay=float(given.get("delay", 0)),
            drop=float(given.get("drop", 0)),
            seed=int(given.get("seed", 0)),
        )
        if found.copies < 1 or min(found.shuffle, found.delay) < 0 or not 0 <= found.drop <= 1:
            raise ValueError(f"chaos is out of range: {asdict(found)}")
        return found
