"""Custom topics that programs publish to, with the checks and the errors of Azure's.

https://learn.microsoft.com/azure/event-grid/post-to-custom-topic and https://learn.microsoft.com/azure/event-grid/quotas-limits
"""

from __future__ import annotations

import hmac
import json
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulator.azure_ml.errors import AzureError
from emulator.azure_ml.identity import Identity
from emulator.event_grid.events import Event
from emulator.event_grid.relay import Relay

AUDIENCES = ("https://eventgrid.azure.net",)
MOST_BYTES = 1024 * 1024
"""Of an array, and so of one event."""
_NEEDED = ("id", "source", "type")


class TopicError(Exception):
    """An answer that is none of 2xx, in the shape of Azure's."""

    def __init__(self, status: int, message: str, detail: str = "") -> None:
        """`detail` says more."""
        super().__init__(message)
        self.status, self.message, self.detail = status, message, detail or message

    def answer(self) -> Response:
        """As Azure writes it."""
        details = [{"code": str(self.status), "message": self.detail}]
        return JSONResponse(
            {"error": {"code": str(self.status), "message": self.message, "details": details}}, self.status
        )


class Topics:
    """All topics that this cloud has: any name will do."""

    def __init__(self, relay: Relay, key: str, identity: Identity | None) -> None:
        """`key` is every topic's access key; `identity` checks the tokens that the local cloud gives out."""
        self._relay, self._key, self._identity = relay, key, identity

    async def publish(self, request: Request) -> Response:
        """Take a CloudEvent, or a list of them, durably."""
        try:
            self._check_sender(request)
            events = read_events(await _body(request))
        except TopicError as error:
            return error.answer()
        topic = str(request.path_params["topic"])
        self._relay.store.publish(topic, events)
        self._relay.take(topic, events)
        return Response(status_code=200)

    async def published(self, request: Request) -> Response:
        """What a topic has taken, the newest first: for people and tests."""
        return JSONResponse(self._relay.store.published(str(request.path_params["topic"])))

    def _check_sender(self, request: Request) -> None:
        key = request.headers.get("aeg-sas-key")
        if key is not None:
            if not hmac.compare_digest(key.encode(), self._key.encode()):
                raise TopicError(401, "The request authorization key is not authorized for this topic.")
            return
        if self._identity is None:
            raise TopicError(401, "The request has no authorization.")
        try:
            self._identity.check(request.headers.get("authorization"), AUDIENCES)
        except (AzureError, ValueError, KeyError) as error:
            raise TopicError(
                401, "The request authorization token is not authorized for this topic.", str(error)
            ) from None


async def _body(request: Request) -> bytes:
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > MOST_BYTES:
            raise TopicError(413, f"The maximum size ({MOST_BYTES}) has been exceeded.")
    return bytes(found)


def read_events(body: bytes) -> list[Event]:
    """The CloudEvents of a request.

    Raises:
        TopicError: 400, saying which is wrong.
    """
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise TopicError(400, "The request body is not valid JSON.") from None
    events = found if isinstance(found, list) else [found]
    for number, event in enumerate(events):
        if why := _wrong(event):
            raise TopicError(400, "This resource is configured for CloudEvents v1.0.", f"Event {number}: {why}")
    return events


def _wrong(event: object) -> str:
    if not isinstance(event, dict):
        return "it is no object"
    if event.get("specversion") != "1.0":
        return "specversion is not 1.0"
    for name in _NEEDED:
        if not isinstance(event.get(name), str) or not event[name]:
            return f"{name} is no text"
    return "" if "time" not in event or _is_time(event["time"]) else "time is not as RFC 3339 writes it"


def _is_time(value: object) -> bool:
    try:
        return datetime.fromisoformat(str(value)).tzinfo is not None
    except ValueError:
        return False
