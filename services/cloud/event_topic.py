"""A custom topic of Event Grid, by azure-eventgrid, which is imported when the first event is published.

https://learn.microsoft.com/azure/event-grid/post-to-custom-topic
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from services.cloud.identity import credential
from services.cloud.upstream import clean, retry_after

if TYPE_CHECKING:
    from azure.eventgrid import EventGridPublisherClient

CONNECT_SECONDS, READ_SECONDS = 5.0, 15.0
_PUBLISHED = 200


class Published(NamedTuple):
    """What the topic said; status 0 where it said nothing, and why in `said`."""

    status: int
    said: str = ""
    retry_after: float | None = None


class AzureEventTopic:
    """Publishes CloudEvents. It retries nothing: the delivery queue does, and writes every attempt down."""

    def __init__(self, endpoint: str, key: str = "") -> None:
        """`endpoint` is the topic's, with `/api/events`; without an access key the app's identity is taken."""
        self._endpoint, self._key = endpoint, key
        self._client: EventGridPublisherClient | None = None

    def publish(self, event: Mapping[str, Any]) -> Published:
        """Publish one event, a CloudEvent as JSON has it; never raises for what the network or the topic does."""
        from azure.core.exceptions import AzureError, HttpResponseError

        try:
            self._connected().send(
                [_cloud_event(event)],
                connection_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retry_total=0,
            )
        except HttpResponseError as error:
            headers = getattr(error.response, "headers", {})
            return Published(error.status_code or 0, clean(error.message), retry_after(headers))
        except AzureError as error:
            return Published(0, f"no answer: {type(error).__name__}")
        return Published(_PUBLISHED)

    def _connected(self) -> EventGridPublisherClient:
        if self._client is None:
            from azure.core.credentials import AzureKeyCredential
            from azure.eventgrid import EventGridPublisherClient

            # it warns of every option of a request that it also offers to the model of an event
            logging.getLogger("azure.eventgrid._legacy._generated._serialization").setLevel(logging.ERROR)
            identity = AzureKeyCredential(self._key) if self._key else credential()
            self._client = EventGridPublisherClient(self._endpoint, identity)
        return self._client


def _cloud_event(event: Mapping[str, Any]) -> object:
    from azure.core.messaging import CloudEvent

    names = ("id", "subject", "data", "datacontenttype", "dataschema")
    given = {name: event[name] for name in names if event.get(name) is not None}
    return CloudEvent(event["source"], event["type"], time=datetime.fromisoformat(event["time"]), **given)
