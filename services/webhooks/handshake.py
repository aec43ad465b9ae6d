"""Asks a receiver whether it wants deliveries at all: the abuse protection of CloudEvents.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from services.webhooks.endpoint import Endpoint
from services.webhooks.receiver import GONE, Answer, Ask

ORIGIN, CALLBACK = "WebHook-Request-Origin", "WebHook-Request-Callback"
SHOWN = 100
_RATE = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a receiver said: how many requests a minute it takes (None: any number), or why it is no yes."""

    per_minute: int | None = None
    refusal: str = ""
    may_follow: bool = False
    """Whether it has said neither yes nor no, and may say yes later."""


def origin_of(public_url: str) -> str:
    """The name by which receivers know the app: its host."""
    return urlsplit(public_url).hostname or "localhost"


def read_agreement(answer: Answer, origin: str) -> Agreement:
    """A yes is in the headers only: what handles OPTIONS for another reason has not agreed, whatever its status."""
    if answer.status == 0:
        return Agreement(refusal=answer.body)
    if "WebHook-Allowed-Origin" not in answer.headers:
        refusal = f"it answered {answer.status} to OPTIONS, without WebHook-Allowed-Origin"
        return Agreement(refusal=refusal, may_follow=answer.status != GONE)
    return read_permission(answer.headers, origin)


def read_permission(headers: Mapping[str, str], origin: str) -> Agreement:
    """A yes, with or without names; to others than us, or at a rate that is none, it is no yes."""
    allowed, rate = headers.get("WebHook-Allowed-Origin", "*"), headers.get("WebHook-Allowed-Rate", "*")
    if allowed.strip() != "*" and allowed.strip().lower() != origin.lower():
        return Agreement(refusal=f"WebHook-Allowed-Origin is {allowed[:SHOWN]!r}, neither * nor {origin}")
    if rate.strip() == "*":
        return Agreement()
    if not _RATE.fullmatch(rate.strip()):
        return Agreement(refusal=f"WebHook-Allowed-Rate is {rate[:SHOWN]!r}, neither * nor a number over zero")
    return Agreement(int(rate))


class Handshake:
    """Makes the validation request."""

    def __init__(self, ask: Ask, origin: str, public_url: str = "") -> None:
        """`origin` is the name that permission is asked for, `public_url` where the app is reached, if it is."""
        self._ask, self.origin, self._public_url = ask, origin, public_url.rstrip("/")

    def __call__(self, endpoint: Endpoint, token: str) -> Agreement:
        """Ask a receiver; `token` is what it may agree by later, where the app has an address to do so at."""
        headers = {ORIGIN: self.origin, "user-agent": "Visionloop"}
        if endpoint.rate is not None:
            headers["WebHook-Request-Rate"] = str(endpoint.rate)
        if self._public_url:
            headers[CALLBACK] = f"{self._public_url}/api/webhooks/{endpoint.id}/agreement?token={token}"
        found = read_agreement(self._ask("OPTIONS", endpoint.url, headers), self.origin)
        return found if self._public_url else replace(found, may_follow=False)
