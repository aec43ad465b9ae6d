"""The scoring address of an endpoint: authorised, routed by header or traffic, limited, and passed on to a slot.

Statuses: https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints#http-status-codes
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import urllib3
from starlette.requests import Request
from starlette.responses import Response

from emulator.azure_ml import sweep
from emulator.azure_ml.endpoints import Endpoints
from emulator.azure_ml.errors import AzureError, not_found
from emulator.azure_ml.identity import Identity
from emulator.azure_ml.slots import Slot
from emulator.azure_ml.store import Body, Store

SLOT_HEADER = "azureml-model-deployment"
DEFAULT_TIMEOUT_SECONDS = 5.0
"""https://learn.microsoft.com/azure/machine-learning/reference-yaml-deployment-managed-online#requestsettings"""
DEFAULT_CONCURRENT = 1
ADMITTED = 2
"""Requests under way, as a multiple of those that are answered at once, before 429: as Azure ML's page above says."""
THREADS = 32


class Lane:
    """The way to one slot: its connections, and who waits for them."""

    def __init__(self, slot: Slot, capacity: int) -> None:
        """`capacity` requests are answered at once."""
        self.slot, self.capacity, self.under_way = slot, capacity, 0
        self.turn = asyncio.Semaphore(capacity)
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", slot.port, maxsize=capacity, retries=False)

    def post(self, content: bytes, seconds: float) -> urllib3.BaseHTTPResponse:
        """Ask the slot; blocks, as that is several times cheaper here than an asynchronous client (measured)."""
        limit = urllib3.Timeout(total=max(seconds, 0.001))
        return self._pool.request(
            "POST", "/score", body=content, headers={"content-type": "application/json"}, timeout=limit
        )

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._pool.close()


class Scoring:
    """Passes requests on to slots."""

    def __init__(self, endpoints: Endpoints, store: Store, identity: Identity) -> None:
        """Connections are made at the first request."""
        self._endpoints, self._store, self._identity = endpoints, store, identity
        self._lanes: dict[str, Lane] = {}
        self._threads = ThreadPoolExecutor(THREADS, "scoring")

    async def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for lane in self._lanes.values():
            lane.close()

    async def score(self, request: Request) -> Response:
        """Answer a scoring request.

        Raises:
            AzureError: 401, 403, 404, 408, 424, 429, 503.
        """
        name = request.path_params["name"]
        authorization = request.headers.get("authorization")
        body = self._endpoints.authorise(name, authorization, lambda to: self._identity.check(authorization, (to,)))
        slot_name = request.headers.get(SLOT_HEADER) or _by_traffic(body["properties"]["traffic"])
        key = f"{name}/deployments/{slot_name}"
        deployment, slot = self._store.get("deployments", key), self._endpoints.slots.live.get(key)
        if deployment is None or deployment["properties"]["provisioningState"] != "Succeeded":
            raise not_found(f"Deployment {slot_name!r} of endpoint {name}")
        if slot is None:  # this process was started again, and the slot is on its way
            raise AzureError(503, "ServiceUnavailable", f"Deployment {slot_name!r} is starting", retry_after=1)
        lane = self._lane(key, slot, deployment)
        answer = await self._forward(lane, await request.body(), _timeout(deployment))
        return _told(answer, slot_name)

    def _lane(self, key: str, slot: Slot, deployment: Body) -> Lane:
        capacity, old = _capacity(deployment), self._lanes.get(key)
        if old is None or old.slot is not slot or old.capacity != capacity:
            if old is not None:
                old.close()
            old = self._lanes[key] = Lane(slot, capacity)
        return old

    async def _forward(self, lane: Lane, content: bytes, seconds: float) -> urllib3.BaseHTTPResponse:
        if lane.under_way >= ADMITTED * lane.capacity:
            raise AzureError(429, "TooManyRequests", "The deployment has too many requests under way", retry_after=1)
        ends = time.monotonic() + seconds
        lane.under_way += 1
        try:
            async with asyncio.timeout(seconds):
                await lane.turn.acquire()
            return await self._post(lane, content, ends)
        except (TimeoutError, urllib3.exceptions.HTTPError) as error:
            raise _unanswered(error, seconds) from None
        finally:
            lane.under_way -= 1

    async def _post(self, lane: Lane, content: bytes, ends: float) -> urllib3.BaseHTTPResponse:
        """Ask a slot when it is this request's turn, which was acquired."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lane.post, content, ends - time.monotonic())
        finally:
            lane.turn.release()


def _capacity(deployment: Body) -> int:
    settings = deployment["properties"].get("requestSettings") or {}
    concurrent = int(settings.get("maxConcurrentRequestsPerInstance") or DEFAULT_CONCURRENT)
    return concurrent * int((deployment.get("sku") or {}).get("capacity") or 1)


def _timeout(deployment: Body) -> float:
    settings = deployment["properties"].get("requestSettings") or {}
    return sweep.duration_seconds(settings.get("requestTimeout"), DEFAULT_TIMEOUT_SECONDS)


def _unanswered(error: Exception, seconds: float) -> AzureError:
    nobody = isinstance(error, urllib3.exceptions.NewConnectionError)  # which urllib3 counts among the time-outs
    if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError) and not nobody:
        return AzureError(408, "RequestTimeout", f"No answer within {seconds:g} s")
    return AzureError(424, "ModelError", "The deployment's container does not answer")


def _told(answer: urllib3.BaseHTTPResponse, slot: str) -> Response:
    """A slot's answer; whatever is no 200 becomes Azure ML's 424, with the slot's own status in a header."""
    kind = answer.headers.get("content-type", "application/json")
    headers = {SLOT_HEADER: slot, "content-type": kind, "x-request-id": str(uuid.uuid4())}
    if answer.status == 200:
        return Response(answer.data, 200, headers)
    own = {"ms-azureml-model-error-statuscode": str(answer.status), "ms-azureml-model-error-reason": "model_error"}
    return Response(answer.data, 424, {**headers, **own})


def _by_traffic(traffic: dict[str, int]) -> str:
    live = {slot: percent for slot, percent in traffic.items() if percent}
    if not live:
        raise AzureError(404, "NoTraffic", "The endpoint has no deployment with traffic")
    return random.choices(list(live), list(live.values()))[0]
