"""Whether the live slot is as it was left, when that is looked at, and what is done where somebody changed it outside.

What is gone or failed is brought back; traffic that was moved by hand is told, as somebody meant it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.decisions.decision import Decision
from services.decisions.rollout import not_ours
from services.state import Champion, Guard, LoopState, Repair, Trouble
from services.words import numbered, shares

EVERY = timedelta(minutes=15)
SOON = timedelta(minutes=1)
"""After the last look, where the proxy missed the slot since."""
DAY = timedelta(days=1)
WAITS: Sequence[timedelta] = (timedelta(), timedelta(minutes=10), timedelta(hours=1))
"""Before each repair of a day, from the one before on; there are no more than these, so nobody is fought with."""
LASTS = timedelta(hours=2)
"""One repair."""
MOST_ATTEMPTS = 3
"""Deployments in one repair, and calls for one or for the endpoint that were not taken."""
MOST_ASKED = 10
"""Requests in one repair that the slot does not answer."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What Azure ML shows: provisioning states (None: there is no such thing), and who owns and gets what."""

    endpoint: str | None
    slot: str | None = None
    model: str = ""
    """In the slot, as `name:version`."""
    owner: str = ""
    traffic: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    """Azure ML's words for a slot that failed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, and the sentence for it; `moving` while Azure ML changes something, so that nothing can be said.

    Nothing is wrong where both are empty.
    """

    trouble: Trouble | None = None
    reason: str = ""
    moving: str = ""


def next_look(guard: Guard, missed: datetime | None, now: datetime) -> float:
    """Seconds until the slot is looked at; 0 where that is now. `missed` is when the proxy found nobody there last.

    A trouble that is known already is not looked at sooner for being met again.
    """
    looked = guard.looked
    if looked is None or now < looked:
        return 0.0
    is_news = missed is not None and missed > looked and guard.trouble is None
    return max((looked + (SOON if is_news else EVERY) - now).total_seconds(), 0.0)


def judge(loop: str, champion: Champion, seen: Seen, known: Trouble | None = None) -> Verdict:
    """What is wrong with the champion's slot; `known` is what was, where a repair may have ended half done."""
    name, slot = champion.endpoint, champion.slot
    model = f"{champion.model.name}:{champion.model.version}"
    if seen.endpoint is None:
        return Verdict("gone", f"Endpoint {name} is gone")
    if taken := not_ours(loop, seen.model == model, seen.owner, seen.traffic):
        return Verdict("taken", f"Endpoint {name} {taken}")
    if moving := next((s for s in (seen.endpoint, seen.slot) if s in ("creating", "deleting")), None):
        return Verdict(moving=moving)
    if seen.slot is None:
        return Verdict("gone", f"Slot {slot} of {name} is gone")
    if seen.model != model:
        return Verdict("taken", f"Slot {slot} of {name} holds {seen.model or 'another model'}, not {model}")
    if known in ("gone", "failed") and not seen.traffic and seen.slot != "failed":
        return Verdict(known, f"Slot {slot} of {name} is there again, but has no traffic")
    return _own(champion, seen)


def judge_answering(loop: str, champion: Champion, seen: Seen, known: Trouble | None = None) -> Verdict:
    """The same of a slot that answers: a failed change may have left the old machines serving."""
    return judge(loop, champion, replace(seen, slot="succeeded"), known)


def _own(champion: Champion, seen: Seen) -> Verdict:
    """Of a slot that holds the champion; one that failed while others have traffic is somebody's experiment."""
    name, slot = champion.endpoint, champion.slot
    others = any(percent for other, percent in seen.traffic.items() if other != slot)
    if seen.slot == "failed" and not others:
        return Verdict("failed", f"Slot {slot} of {name} has failed{f': {seen.error}' if seen.error else ''}")
    if dict(seen.traffic) != {slot: 100}:
        said = f"The traffic of {name} goes to {shares(seen.traffic)}, not to {slot} alone"
        return Verdict("traffic", f"{said}; the proxy asks {slot} all the same")
    return Verdict()


def repair(state: LoopState, trouble: Trouble, removed: bool, now: datetime) -> Decision:
    """Bring the slot, or its traffic, back now, later, or leave it; `removed`: all that was uploaded is deleted.

    A person who removes it again and again wins: after the last of a day's repairs it is left until the day is over.
    """
    mode = state.config.config.endpoint.repair
    if trouble == "taken":
        return Decision(False, "it is left alone")
    if mode == "none":
        return Decision(False, "it is left as it is, as endpoint.repair is none")
    if trouble == "traffic" and mode != "all":
        return Decision(False, "what was moved by hand stays; endpoint.repair: all gives it back")
    if state.paused:
        return Decision(False, f"{state.paused}: it is brought back once the loop goes on")
    if removed:
        return Decision(False, f"nothing of {state.loop} is uploaded any more, so it stays away")
    return _in_turn(recent(state.guard, now), now)


def recovery(guard: Guard, now: datetime) -> Repair:
    """The repair that a person asks for; it moves traffic too, and counts for nothing in the budget of the day."""
    return Repair(trouble=guard.trouble or "gone", since=now, ordered=True)


def recent(guard: Guard, now: datetime) -> list[datetime]:
    """When the repairs of the last 24 hours were begun."""
    return [begun for begun in guard.repaired if now - DAY < begun <= now]


def _in_turn(begun: Sequence[datetime], now: datetime) -> Decision:
    spent = len(begun) >= len(WAITS)
    due = begun[-len(WAITS)] + DAY if spent else begun[-1] + WAITS[len(begun)] if begun else now
    if now >= due:
        return Decision(True, "the same model is brought back")
    so_far = f"it was brought back, or that was tried, {numbered(len(begun), 'time')} in 24 hours"
    return Decision(False, f"{so_far}; the next try is at {due:%Y-%m-%d %H:%M} UTC", (due - now).total_seconds())
