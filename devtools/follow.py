"""Tells on the terminal what the loops do, as their timelines say it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from devtools.client import Client, Refused, Unreachable
from devtools.console import numbered, say

LOOK_SECONDS = 2.0
SHOWN_AT_FIRST = 3


def event_line(event: dict[str, Any]) -> str:
    """One event as a line: when (local time), what, why."""
    when = datetime.fromisoformat(event["time"]).astimezone().strftime("%H:%M:%S")
    kind = str(event["type"]).removeprefix("visionloop.")
    return f"{when}  {kind:<19} {event['data'].get('reason', '')}"


def summary(status: dict[str, Any]) -> str:
    """Where a loop stands, in a line."""
    champion = status.get("champion")
    live = "no champion yet"
    if champion:
        live = f"champion {status['champion_model']} ({champion['metric']} {champion['score']:.3f}, {champion['slot']})"
    counts = f"{numbered(status['labelled'], 'labelled image')}, {numbered(len(status['datasets']), 'dataset version')}"
    return f"{status['loop']}: {counts}, {live}. {status['doing']}"


class Follower:
    """Remembers which events of which loop were shown."""

    def __init__(self, client: Client) -> None:
        """Nothing is asked yet."""
        self._client = client
        self._shown: dict[str, set[str]] = {}

    def news(self) -> Iterator[str]:
        """Lines about what is new since the last call; a loop seen for the first time is introduced.

        Raises:
            Refused, Unreachable: while the host is being started again.
        """
        for loop in self._client.loops():
            events = self._client.timeline(loop)
            if loop not in self._shown:
                yield summary(self._client.status(loop))
                self._shown[loop] = {str(e["id"]) for e in events[:-SHOWN_AT_FIRST]}
            new = [e for e in events if e["id"] not in self._shown[loop]]
            self._shown[loop].update(str(e["id"]) for e in new)
            yield from (f"  {loop}  {event_line(e)}" for e in new)


def follow(client: Client, over: threading.Event) -> None:
    """Say the news until the event is set."""
    follower = Follower(client)
    while not over.is_set():
        try:
            for line in follower.news():
                say(line)
        except (Refused, Unreachable):
            pass  # said again at the next look
        over.wait(LOOK_SECONDS)
