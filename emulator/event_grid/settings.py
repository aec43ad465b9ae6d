"""Subscriptions and chaos, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who is told of what, and how. Empty filters let everything through; case is no difference in subjects.

    https://learn.microsoft.com/azure/event-grid/event-filtering#subject-filtering
    """

    name: str
    topic: str
    endpoint: str
    schema: str = "cloudevents"
    subject_begins_with: str = ""
    event_types: tuple[str, ...] = ()
    apis: tuple[str, ...] = ()
    events_per_batch: int = 1

    def covers(self, topic: str, subject: str) -> bool:
        """Whether events of that place may pass the filters."""
        return topic == self.topic and subject.lower().startswith(self.subject_begins_with.lower())

    def wants(self, topic: str, event: dict[str, Any]) -> bool:
        """Whether the event passes the filters."""
        data = event.get("data")
        api = data.get("api") if isinstance(data, dict) else None
        return (
            self.covers(topic, str(event.get("subject", "")))
            and (not self.event_types or event["type"] in self.event_types)
            and (not self.apis or api in self.apis)
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
