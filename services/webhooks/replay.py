"""Sends events to a receiver again: one delivery, or all of a time that it missed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from services.cloud.ports.storage import BlobStore, Queue
from services.errors import BadRequest, NotFound
from services.members import read_body
from services.state import Event
from services.timeline import Timeline
from services.webhooks.dispatch import delivery_id
from services.webhooks.endpoint import Endpoint
from services.webhooks.log import Delivery, LogRetention, file_of, first
from services.webhooks.message import Message, put
from services.webhooks.registry import Registry

MOST_EVENTS = 1000
LATE = timedelta(minutes=10)
"""After its time an attempt may still come: receivers that are slow wait for each other."""
_ID = re.compile(r"msg_[0-9a-f]{24}")


class Span(BaseModel):
    """What is asked for: events told from `since` on and before `until`."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime
    until: AwareDatetime | None = None
    failed_only: Annotated[bool, Field(strict=True)] = False
    """Leave out what was delivered, and what is so old that this is no longer known."""

    @model_validator(mode="after")
    def _is_a_time(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError("until must be later than since")
        return self


class Replay:
    """Queues deliveries again. Their `webhook-id` stays: a receiver that has seen one drops it, unless it wants it."""

    def __init__(
        self,
        system: BlobStore,
        registry: Registry,
        queue: Queue,
        timeline: Timeline,
        loops: Callable[[], Iterable[str]],
        clock: Callable[[], datetime],
        retention: LogRetention,
    ) -> None:
        """`loops` names those whose timelines there are; `retention` says which deliveries may be forgotten."""
        self._retention = retention
        self._system, self._registry, self._queue = system, registry, queue
        self._timeline, self._loops, self._clock = timeline, loops, clock

    def one(self, endpoint_id: str, delivery: str) -> dict[str, object]:
        """Make a delivery once more, with its whole schedule.

        Raises:
            Conflict: the receiver is disabled.
            NotFound: there is no such receiver or delivery.
        """
        endpoint = self._registry.receiving(endpoint_id)
        if not _ID.fullmatch(delivery):
            raise NotFound(f"Webhook {endpoint.id} has no delivery {delivery[:60]!r}")
        try:
            found = Delivery.model_validate_json(self._system.read(file_of(endpoint.id, delivery)).data)
        except NotFound:
            kept = f"those whose last attempt was before {_day(self._retention.oldest())} are forgotten"
            raise NotFound(f"Webhook {endpoint.id} has no delivery {delivery[:60]}; {kept}") from None
        if found.content is None:
            raise NotFound(f"What delivery {delivery[:60]} sent was not kept")
        self._again(found, found.content)
        return {"delivery": found.id, "event": found.event}

    def span(self, endpoint_id: str, body: bytes) -> dict[str, object]:
        """Make the deliveries of a time, of everything that the receiver wants today; the oldest first.

        Raises:
            BadRequest: the body cannot be read, or there would be too many.
            Conflict: the receiver is disabled.
            NotFound: there is no such receiver.
        """
        asked, endpoint = _read(body), self._registry.receiving(endpoint_id)
        found = [(event, self._kept(endpoint, event)) for event in self._events(endpoint, asked)]
        unknown = [e for e, kept in found if asked.failed_only and kept is None and self._forgotten(endpoint, e)]
        queued = [self._event(endpoint, event, kept, asked) for event, kept in found if event not in unknown]
        return {"deliveries": [one for one in queued if one], **self._told_of(unknown)}

    def _forgotten(self, endpoint: Endpoint, event: Event) -> bool:
        """Whether there may have been a delivery that is not kept: nothing was sent before there was a webhook."""
        return endpoint.created <= event.time < self._retention.oldest()

    def _told_of(self, unknown: Sequence[Event]) -> dict[str, object]:
        if not unknown:
            return {}
        before = _day(self._retention.oldest())
        says = (
            f"Whether {len(unknown)} events before {before} were delivered is no longer kept, so they are not sent; "
            "without failed_only they are"
        )
        return {"forgotten": {"events": len(unknown), "before": before, "says": says}}

    def _events(self, endpoint: Endpoint, asked: Span) -> list[Event]:
        until = asked.until or self._clock()
        told = (e for loop in self._loops() for e in self._timeline.between(loop, asked.since, until))
        found = sorted((e for e in told if endpoint.wants(e)), key=lambda e: e.time)
        if len(found) > MOST_EVENTS:
            raise BadRequest(f"{len(found)} events are of that time; at most {MOST_EVENTS} are sent at once")
        return found

    def _kept(self, endpoint: Endpoint, event: Event) -> Delivery | None:
        try:
            kept = self._system.read(file_of(endpoint.id, delivery_id(event.id, endpoint.id)))
        except NotFound:
            return None
        return Delivery.model_validate_json(kept.data)

    def _event(self, endpoint: Endpoint, event: Event, kept: Delivery | None, asked: Span) -> str:
        name = delivery_id(event.id, endpoint.id)
        found = kept or first(name, endpoint.id, event)
        if asked.failed_only and found.state == "delivered":
            return ""
        self._again(found, event)
        return name

    def _again(self, found: Delivery, event: Event) -> None:
        """One that is under way is left to its schedule; if its time is over, its message was lost.

        Where it was not, there are two for one attempt, which is made once.
        """
        if found.state == "pending" and found.next_attempt and self._clock() < found.next_attempt + LATE:
            return
        if found.state != "pending":
            found.state, found.reason, found.before_replay = "pending", "", len(found.attempts)
        found.content = event
        self._system.write(file_of(found.endpoint, found.id), found.model_dump_json().encode())
        attempt = Message(delivery=found.id, endpoint=found.endpoint, event=event, attempt=len(found.attempts) + 1)
        put(self._system, self._queue, attempt)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _read(body: bytes) -> Span:
    return read_body(Span, body, such_as='{"since": "2026-01-01T12:00:00Z"}')
