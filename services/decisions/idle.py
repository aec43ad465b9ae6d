"""When an endpoint that nobody asks goes to rest, and when it wakes."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.decisions.decision import Decision
from services.rollout_config import Endpoint
from services.state import LoopState, Resting

LONGEST_WAIT = 3600.0


def fall_asleep(policy: Endpoint, awake_since: datetime, last_prediction: datetime | None, now: datetime) -> Decision:
    """Rest once nobody has asked for `idle_after_hours`, counted from the last prediction or from when it woke."""
    if policy.idle_after_hours is None:
        return Decision(False, "endpoint.idle_after_hours is not set: the endpoint is always up")
    last = max(awake_since, last_prediction or awake_since)
    due = last + timedelta(hours=policy.idle_after_hours)
    if now < due:
        again = max(1.0, min((due - now).total_seconds(), LONGEST_WAIT))
        return Decision(False, f"Without a prediction the endpoint rests at {due:%Y-%m-%d %H:%M} UTC", again)
    asked = f"since {last_prediction:%Y-%m-%d %H:%M} UTC" if last_prediction else "yet"
    return Decision(True, f"No prediction was asked for {asked}, {policy.idle_after_hours:g} hours are allowed")


def wake_up(state: LoopState, resting: Resting, now: datetime) -> Decision:
    """Wake for a prediction, a rollout, the clock, or because resting is no longer wanted."""
    policy = state.config.config.endpoint
    if policy.idle_after_hours is None:
        return Decision(True, "endpoint.idle_after_hours is no longer set")
    if state.last_prediction is not None and state.last_prediction > resting.since:
        return Decision(True, f"A prediction was asked for at {state.last_prediction:%Y-%m-%d %H:%M} UTC")
    if state.rollout_next is not None or (not state.paused and any(r.rollout == "pending" for r in state.runs)):
        return Decision(True, "A rollout waits: the champion is to be compared with")
    due = min((_next(text, resting.since) for text in policy.wake_at), default=None)
    if due is None:
        return Decision(False, "It wakes with the next prediction")
    if now >= due:
        return Decision(True, f"endpoint.wake_at says {due:%H:%M} UTC")
    again = max(1.0, min((due - now).total_seconds(), LONGEST_WAIT))
    return Decision(False, f"It wakes with the next prediction, or at {due:%Y-%m-%d %H:%M} UTC", again)


def _next(text: str, after: datetime) -> datetime:
    """The first moment after another at which the clock shows HH:MM, in UTC."""
    hour, _, minute = text.partition(":")
    at = after.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
    return at if at > after else at + timedelta(days=1)
