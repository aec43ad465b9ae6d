"""The scoring address of an endpoint: authorised, routed by header or traffic, limited, and passed on to a slot."""

from __future__ import annotations

import random

import httpx
from starlette.requests import Request
from starlette.responses import Response

from emulator.azure_ml import sweep
from emulator.azure_ml.endpoints import Endpoints, Slot
from emulator.azure_ml.errors import AzureError, not_found
from emulator.azure_ml.identity import Identity
from emulator.azure_ml.store import Body, Store

SLOT_HEADER = "azureml-model-deployment"
AUDIENCE = "https://ml.azure.com"
DEFAULT_TIMEOUT_SECONDS = 5.0
"""https://learn.microsoft.com/azure/machine-learning/reference-yaml-deployment-managed-online#requestsettings"""
DEFAULT_CONCURRENT = 1
QUEUE_FACTOR = 8
"""Requests that wait for a slot, as a multiple of those it answers at once, before 429."""


class Scoring:
    """Passes requests on to slots."""

    def __init__(self, endpoints: Endpoints, store: Store, identity: Identity) -> None:
        """Connections are made at the first request."""
        self._endpoints, self._store, self._identity = endpoints, store, identity
        limits = httpx.Limits(max_connections=256, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(limits=limits, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def score(self, request: Request) -> Response:
        """Answer a scoring request.

        Raises:
            AzureError: 401, 404, 408, 424, 429.
        """
        name = request.path_params["name"]
        body = self._endpoints.authorise(name, request.headers.get("authorization"), self._check_token)
        slot_name = request.headers.get(SLOT_HEADER) or _by_traffic(body["properties"]["traffic"])
        key = f"{name}/deployments/{slot_name}"
        deployment, slot = self._store.get("deployments", key), self._endpoints.slots.get(key)
        if deployment is None or slot is None or deployment["properties"]["provisioningState"] != "Succeeded":
            raise not_found(f"Deployment {slot_name!r} of endpoint {name}")
        answer = await self._forward(deployment, slot, await request.body())
        content = answer.headers.get("content-type", "application/json")
        headers = {SLOT_HEADER: slot_name, "content-type": content}
        return Response(answer.content, answer.status_code if answer.status_code < 500 else 424, headers)

    def _check_token(self, authorization: str | None) -> None:
        self._identity.check(authorization, (AUDIENCE,))

    async def _forward(self, deployment: Body, slot: Slot, content: bytes) -> httpx.Response:
        settings = deployment["properties"].get("requestSettings") or {}
        timeout = sweep.duration_seconds(settings.get("requestTimeout"), DEFAULT_TIMEOUT_SECONDS)
        concurrent = int(settings.get("maxConcurrentRequestsPerInstance") or DEFAULT_CONCURRENT)
        capacity = concurrent * int((deployment.get("sku") or {}).get("capacity") or 1)
        if slot.busy >= capacity * QUEUE_FACTOR:
            raise AzureError(429, "TooManyRequests", "The deployment has too many requests under way", retry_after=1)
        slot.busy += 1
        try:
            headers = {"content-type": "application/json"}
            address = f"http://127.0.0.1:{slot.port}/score"
            return await self._client.post(address, content=content, headers=headers, timeout=timeout)
        except httpx.TimeoutException:
            raise AzureError(408, "RequestTimeout", f"No answer within {timeout:.0f} s") from None
        except httpx.HTTPError:
            raise AzureError(424, "ModelError", "The deployment's container does not answer") from None
        finally:
            slot.busy -= 1


def _by_traffic(traffic: dict[str, int]) -> str:
    live = {slot: percent for slot, percent in traffic.items() if percent}
    if not live:
        raise AzureError(404, "NoTraffic", "The endpoint has no deployment with traffic")
    return random.choices(list(live), list(live.values()))[0]
