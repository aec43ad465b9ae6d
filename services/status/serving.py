"""What serving a loop costs, and what it has cost while nobody asked: a slot is billed by the hour all the same."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.decisions.budget import machine_of
from services.state import LoopState
from services.words import numbered


def serving(state: LoopState, now: datetime, prices: str = "") -> dict[str, Any]:
    """Machines, their price and the bill since the last prediction; prices are list prices, null where unknown.

    `idle_hours` counts from the last prediction that the proxy noted, or from the promotion where there was none.
    """
    settings, machines = state.config.config.endpoint, _machines(state)
    price = machine_of(settings.machine, prices).price
    hours = _idle_hours(state, now)
    cost = None if price is None or hours is None else round(hours * machines * price, 2)
    return {
        "machines": machines,
        "size": settings.machine,
        "price_per_machine_hour": price,
        "cost_per_month": None if price is None else round(730 * machines * price, 2),
        "last_prediction": state.last_prediction.isoformat() if state.last_prediction else None,
        "idle_hours": None if hours is None else round(hours, 1),
        "idle_cost": cost,
        "resting": state.resting.model_dump(mode="json") if state.resting else None,
        "says": _says(state, machines, hours, cost),
    }


def _machines(state: LoopState) -> int:
    """Of the champion's slot, and of the one beside it while a rollout has or keeps it."""
    each, resting, rollout = state.config.config.endpoint.instance_count, state.resting, state.rollout
    beside = rollout is not None and rollout.step not in ("endpoint", "done")
    is_there = state.champion is not None and (state.guard.trouble != "gone" or state.guard.repair is not None)
    slots = is_there + beside
    if resting is not None and resting.phase == "asleep":
        return 0 if resting.kind == "remove" else 1
    return slots * each


def _idle_hours(state: LoopState, now: datetime) -> float | None:
    if state.champion is None:
        return None
    since = max(state.champion.promoted, state.last_prediction or state.champion.promoted)
    return max(0.0, (now - since).total_seconds() / 3600)


def _says(state: LoopState, machines: int, hours: float | None, cost: float | None) -> str:
    if hours is None:
        return "Nothing is served yet"
    if state.resting is not None:
        return f"The endpoint has rested since {state.resting.since:%Y-%m-%d %H:%M} UTC: {state.resting.reason}"
    billed = f", about {cost:.2f} US dollars by list price" if cost is not None else ""
    off = state.config.config.endpoint.idle_after_hours is None
    hint = "; endpoint.idle_after_hours lets it rest" if off and hours > 1 else ""
    lost = f"{state.guard.reason}. " if state.guard.trouble else ""
    return f"{lost}{numbered(machines, 'machine')}, {hours:.1f} hours without a prediction{billed}{hint}"
