"""Wires the process once, at the edge. Nothing is built, or imported, before something asks for it.

The parts ask each other through this door, so that a test replaces a service for all of them at once.
"""

from __future__ import annotations

from services.settings import settings
from services.wiring.control import approvals, controller, controls, rollout_controls, sweeper
from services.wiring.incoming import door, inbound, inbound_sources, inbound_worker, key_console, push, suggestions
from services.wiring.inference import (
    activity,
    capturer,
    champions,
    gate,
    image_fetcher,
    later,
    open_inference,
    predictor,
    retention,
)
from services.wiring.outbound import (
    deliverer,
    delivery_log,
    delivery_queue,
    dispatcher,
    event_topic,
    webhook_console,
    webhook_guard,
    webhook_replay,
    webhooks,
)
from services.wiring.pages import cards, datasets, exports, problem_reports, runs, status
from services.wiring.storage import (
    async_scorer,
    clock,
    cloud,
    data_store,
    scorer,
    states,
    system_store,
    timeline,
    waker,
)

__all__ = [
    "activity",
    "approvals",
    "async_scorer",
    "capturer",
    "cards",
    "champions",
    "clock",
    "cloud",
    "controller",
    "controls",
    "data_store",
    "datasets",
    "deliverer",
    "delivery_log",
    "delivery_queue",
    "dispatcher",
    "door",
    "event_topic",
    "exports",
    "gate",
    "image_fetcher",
    "inbound",
    "inbound_sources",
    "inbound_worker",
    "key_console",
    "later",
    "open_inference",
    "predictor",
    "problem_reports",
    "push",
    "retention",
    "rollout_controls",
    "runs",
    "scorer",
    "settings",
    "states",
    "status",
    "suggestions",
    "sweeper",
    "system_store",
    "timeline",
    "waker",
    "webhook_console",
    "webhook_guard",
    "webhook_replay",
    "webhooks",
]
