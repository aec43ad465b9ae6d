"""What people do with webhooks over HTTP."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from services.cloud.ports.storage import BlobStore
from services.errors import BadRequest
from services.state import Event
from services.webhooks.consent import Consent
from services.webhooks.dispatch import Dispatcher
from services.webhooks.handshake import Handshake
from services.webhooks.log import deliveries
from services.webhooks.registry import Registry


class Console:
    """Register, list, remove, test, and see how deliveries went."""

    def __init__(
        self,
        system: BlobStore,
        registry: Registry,
        dispatcher: Dispatcher,
        clock: Callable[[], datetime],
        handshake: Handshake,
    ) -> None:
        """All can be replaced."""
        self._system, self._registry, self._dispatcher, self._clock = system, registry, dispatcher, clock
        self._consent = Consent(registry, handshake, clock)

    def register(self, body: bytes) -> dict[str, Any]:
        """Register a receiver; the answer is the only place where its secret is shown.

        Raises:
            BadRequest: saying what is wrong.
        """
        endpoint = self._consent.sought(self._registry.add(_read(body)))
        return {**endpoint.shown(), "secret": endpoint.secret}

    def get(self, endpoint_id: str) -> dict[str, Any]:
        """One receiver, without its secrets.

        Raises:
            NotFound: there is none.
        """
        return self._registry.get(endpoint_id).shown()

    def update(self, endpoint_id: str, body: bytes) -> dict[str, Any]:
        """Change a receiver's members that the body has.

        Raises:
            BadRequest: saying what is wrong.
            NotFound: there is none.
        """
        return self._consent.sought(self._registry.update(endpoint_id, _read(body))).shown()

    def agree(self, endpoint_id: str, token: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """A receiver agrees later, by the address that it was given.

        Raises:
            BadLink: the address is forged, too old, or no longer asked about.
            BadRequest: the headers hold no permission for the app.
        """
        return self._consent.given(endpoint_id, token, headers)

    def rotate(self, endpoint_id: str) -> dict[str, Any]:
        """Give a receiver a new secret, which is shown here only; the old one signs too for a day.

        Raises:
            NotFound: there is none.
        """
        endpoint = self._registry.rotate(endpoint_id)
        return {**endpoint.shown(), "secret": endpoint.secret}

    def list(self) -> dict[str, Any]:
        """All receivers, without their secrets."""
        return {"webhooks": [endpoint.shown() for endpoint in self._registry.list()]}

    def remove(self, endpoint_id: str) -> None:
        """Forget a receiver.

        Raises:
            NotFound: there is none.
        """
        self._registry.remove(endpoint_id)

    def test(self, endpoint_id: str) -> dict[str, Any]:
        """Send a receiver an event of the type webhook.test.

        Raises:
            Conflict: it is disabled.
            NotFound: there is none.
        """
        endpoint = self._registry.receiving(endpoint_id)
        event = Event(
            id=f"test-{secrets.token_hex(8)}",
            source="/visionloop",
            type="visionloop.webhook.test",
            subject="visionloop",
            time=self._clock(),
            data={"loop": "", "reason": "You asked for a test"},
        )
        return {"delivery": self._dispatcher.send(event, endpoint.id), "event": event.id}

    def deliveries(self, endpoint_id: str) -> dict[str, Any]:
        """The newest deliveries with their attempts.

        Raises:
            NotFound: there is no such receiver.
        """
        return {"deliveries": deliveries(self._system, self._registry.get(endpoint_id).id)}


def _read(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest('The body must be JSON, such as {"url": "https://example.com/hook"}') from None
