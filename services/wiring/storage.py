"""Settings, storage, queues and Azure ML: what all others stand on."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from threading import Thread
from typing import TYPE_CHECKING

from services import wiring
from services.settings import WAKE_QUEUE

if TYPE_CHECKING:
    from services.cloud.async_scoring import AsyncEndpointScorer
    from services.cloud.blobs import AzureBlobStore
    from services.cloud.scoring import EndpointScorer
    from services.context import Cloud
    from services.state_store import StateStore
    from services.timeline import Timeline
    from services.wake import Waker


BEYOND_THE_GATE = 32
"""Requests to slots that nobody waits for: copies for a challenger, and messages of the queue of predictions."""


def clock() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@cache
def data_store() -> AzureBlobStore:
    """The container that users write."""
    from services.cloud.blobs import AzureBlobStore

    return AzureBlobStore(wiring.settings().data_blob_uri, wiring.settings().data_container)


@cache
def system_store() -> AzureBlobStore:
    """The container that only we write."""
    from services.cloud.blobs import AzureBlobStore

    return AzureBlobStore(wiring.settings().system_blob_uri, wiring.settings().system_container)


@cache
def scorer() -> EndpointScorer:
    """Calls slots of endpoints."""
    from services.cloud.scoring import EndpointScorer

    return EndpointScorer()


@cache
def async_scorer() -> AsyncEndpointScorer:
    """The same from the event loop; whoever asks for it is about to wait for storage, so that it loads beside that."""
    from services.cloud.async_scoring import AsyncEndpointScorer, load

    Thread(target=load, name="load", daemon=True).start()
    return AsyncEndpointScorer(wiring.settings().predict_concurrency + BEYOND_THE_GATE)


@cache
def cloud() -> Cloud:
    """The outside world of the controller."""
    from services.cloud.ml import AzureWorkspace
    from services.context import Cloud

    return Cloud(
        wiring.settings(),
        wiring.data_store(),
        wiring.system_store(),
        AzureWorkspace(wiring.settings()),
        wiring.scorer(),
        wiring.clock,
    )


@cache
def waker() -> Waker:
    """Puts wakes on the queue."""
    from services.cloud.queues import AzureQueue
    from services.wake import Waker

    queue = AzureQueue(wiring.settings().system_queue_uri, WAKE_QUEUE)
    return Waker(queue, wiring.clock, wiring.settings().wake_delay_seconds)


@cache
def timeline() -> Timeline:
    """What happened, and why."""
    from services.timeline import Timeline

    return Timeline(wiring.system_store())


@cache
def states() -> StateStore:
    """Where every loop stands."""
    from services.state_store import StateStore

    return StateStore(wiring.system_store(), wiring.clock)
