"""What came of asking a receiver for its agreement: a yes, none, or one that may follow by an address of ours."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from services.access.secret import digest, new_secret
from services.errors import BadLink, BadRequest, NotFound
from services.webhooks.endpoint import Endpoint
from services.webhooks.handshake import Agreement, Handshake, read_permission
from services.webhooks.registry import PENDING, Registry

PATIENCE = timedelta(days=7)
"""A person may have to find the address in the receiver's log."""
ASKED_AT_MOST = timedelta(minutes=1)
log = logging.getLogger(__name__)


class Consent:
    """Asks receivers with a handshake, and takes their yes."""

    def __init__(self, registry: Registry, handshake: Handshake, clock: Callable[[], datetime]) -> None:
        """`handshake` is what goes to the network."""
        self._registry, self._handshake, self._clock = registry, handshake, clock

    def sought(self, endpoint: Endpoint) -> Endpoint:
        """One that has a handshake before it is asked; what it answers enables it, or says why not."""
        if endpoint.enabled or endpoint.disabled_reason != PENDING:
            return endpoint
        token = new_secret()
        hashed, until = digest(token), self._clock() + PATIENCE

        def ask(now: Endpoint) -> None:
            if now.disabled_reason == PENDING and now.url == endpoint.url:
                now.asked_hash, now.waiting_until = hashed, until

        asked = self._registry.settle(endpoint.id, ask)  # before it is asked: it may agree before it answers
        if asked.asked_hash != hashed:
            return asked
        found = self._handshake(asked, token)
        return self._registry.settle(endpoint.id, lambda now: self._settle(now, hashed, found))

    def given(self, endpoint_id: str, token: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """A yes that follows, by GET or POST; the same one twice is one.

        Raises:
            BadLink: the address is forged, too old, or no longer asked about.
            BadRequest: the headers hold no permission for the app.
        """
        found = read_permission(headers, self._handshake.origin)
        if found.refusal:
            raise BadRequest(found.refusal)
        hashed = digest(token)

        def take(now: Endpoint) -> None:
            if not hmac.compare_digest(now.asked_hash, hashed) or not self._in_time(now):
                raise BadLink("Nobody waits for this agreement any more, or never did")
            self._settle(now, hashed, found)

        try:
            taken = self._registry.settle(endpoint_id, take)
        except NotFound:
            raise BadLink("Nobody waits for this agreement any more, or never did") from None
        log.info("Webhook %s has agreed by its address", taken.id)
        return {"agreed": taken.agreed, "per_minute": taken.per_minute, "says": "Thank you, the agreement is kept"}

    def _in_time(self, endpoint: Endpoint) -> bool:
        return endpoint.waiting_until is not None and self._clock() < endpoint.waiting_until

    def _settle(self, endpoint: Endpoint, hashed: str, found: Agreement) -> None:
        """Unless it has agreed meanwhile, was moved, disabled, or is asked anew."""
        if endpoint.asked_hash != hashed or endpoint.agreed:
            return
        if not found.refusal:
            endpoint.agreed, endpoint.per_minute = self._clock(), _least(endpoint.rate, found.per_minute)
            endpoint.enabled, endpoint.disabled_reason = True, ""
        elif found.may_follow:
            endpoint.disabled_reason = (
                f"it has not agreed by CloudEvents' handshake yet, and may later: {found.refusal}"
            )
        else:
            endpoint.disabled_reason = f"it has not agreed by CloudEvents' handshake: {found.refusal}"
            endpoint.asked_hash, endpoint.waiting_until = "", None


def is_asked_now(endpoint: Endpoint, now: datetime) -> bool:
    """Whether its answer comes within seconds, if the process that asks it has not died."""
    asked = endpoint.waiting_until - PATIENCE if endpoint.waiting_until else None
    return endpoint.disabled_reason == PENDING and asked is not None and now - asked < ASKED_AT_MOST


def _least(*rates: int | None) -> int | None:
    return min((rate for rate in rates if rate is not None), default=None)
