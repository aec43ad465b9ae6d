"""Tells the world what is already durable: first the timeline, then the webhooks' queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.context import LoopContext
from services.state import Event
from services.timeline import Timeline


class Dispatcher(Protocol):
    """Hands events to webhooks; the same event may be handed over twice and is delivered under one id."""

    def dispatch(self, events: Sequence[Event]) -> None: ...


class Outbox:
    """Empties a loop's outbox. A crash anywhere tells an event again under its id, never not at all."""

    def __init__(self, timeline: Timeline, dispatcher: Dispatcher) -> None:
        """Where events go, in this order."""
        self._timeline, self._dispatcher = timeline, dispatcher

    def flush(self, context: LoopContext) -> None:
        """Tell everything that the stored state holds; the outbox is emptied only once all are told."""
        context.save()
        events = list(context.state.outbox)
        if not events:
            return
        self._timeline.append(events)
        self._dispatcher.dispatch(events)
        context.state.outbox = []
        context.save()
