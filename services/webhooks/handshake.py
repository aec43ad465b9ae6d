"""Asks a receiver whether it wants deliveries at all: the abuse protection of CloudEvents.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.webhooks.receiver import Answer, Ask

ORIGIN = "WebHook-Request-Origin"
SHOWN = 100
_RATE = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a receiver said: how many requests a minute it takes (None: any number), or why it is no yes."""

    per_minute: int | None = None
    refusal: str = ""


def origin_of(public_url: str) -> str:
    """The name by which receivers know the app: its host."""
    return urlsplit(public_url).hostname or "localhost"


def read_agreement(answer: Answer, origin: str) -> Agreement:
    """A yes is in the headers only: what handles OPTIONS for another reason has not agreed, whatever its status."""
    if answer.status == 0:
        return Agreement(refusal=answer.body)
    allowed, rate = answer.headers.get("WebHook-Allowed-Origin"), answer.headers.get("WebHook-Allowed-Rate", "*")
    if allowed is None:
        return Agreement(refusal=f"it answered {answer.status} to OPTIONS, without WebHook-Allowed-Origin")
    if allowed.strip() != "*" and allowed.strip().lower() != origin.lower():
        return Agreement(refusal=f"WebHook-Allowed-Origin is {allowed[:SHOWN]!r}, neither * nor {origin}")
    if rate.strip() == "*":
        return Agreement()
    if not _RATE.fullmatch(rate.strip()):
        return Agreement(refusal=f"WebHook-Allowed-Rate is {rate[:SHOWN]!r}, neither * nor a number over zero")
    return Agreement(int(rate))


class Handshake:
    """Makes the validation request."""

    def __init__(self, ask: Ask, origin: str) -> None:
        """`origin` is the name that permission is asked for."""
        self._ask, self._origin = ask, origin

    def __call__(self, url: str) -> Agreement:
        """Ask the receiver at an address."""
        headers = {ORIGIN: self._origin, "user-agent": "Visionloop"}
        return read_agreement(self._ask("OPTIONS", url, headers), self._origin)
