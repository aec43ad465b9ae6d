"""Online endpoints: names, deployments, traffic rules, keys."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable

from emulator.azure_ml.config import Config
from emulator.azure_ml.errors import AzureError, conflict, not_found, user_error
from emulator.azure_ml.faults import Faults
from emulator.azure_ml.models import Models
from emulator.azure_ml.resources import check_name, now_text
from emulator.azure_ml.slots import Slots
from emulator.azure_ml.store import Body, Store

ENDPOINT_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]")
MOST_DEPLOYMENTS = 20
UNDER_WAY = frozenset({"Creating", "Updating", "Deleting"})
KEY_TYPES = ("Primary", "Secondary")
AUDIENCE = "https://ml.azure.com"
IDENTITY = {
    "type": "SystemAssigned",
    "principalId": "00000000-0000-0000-0000-00000000000e",
    "tenantId": "00000000-0000-0000-0000-00000000000a",
}
_PROBE = {"failureThreshold": 30, "successThreshold": 1, "timeout": "PT2S", "period": "PT10S", "initialDelay": "PT10S"}
DEPLOYMENT_DEFAULTS: Body = {
    "scaleSettings": {"scaleType": "Default"},
    "requestSettings": {"maxConcurrentRequestsPerInstance": 1, "requestTimeout": "PT5S", "maxQueueWait": "PT0.5S"},
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "environmentVariables": {},
    "properties": {},
    "appInsightsEnabled": False,
    "egressPublicNetworkAccess": "Enabled",
}
"""What Azure ML adds to a deployment that leaves it out; the SDK fails on one without scale settings."""


class Endpoints:
    """All endpoints; deployments have the key `<endpoint>/deployments/<slot>`."""

    def __init__(self, config: Config, store: Store, models: Models, faults: Faults) -> None:
        """Nothing runs before `start`."""
        self._config, self._store, self._models, self._faults = config, store, models, faults
        self.slots = Slots(config, store, models, faults)
        self._settling: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the slots that were there when this process ended, and finish what was being created."""
        for name, _ in self._store.list("onlineEndpoints"):
            self._settle(name)
        self.slots.start()

    def stop(self) -> None:
        """End all slots; their deployments are still there at the next start."""
        for task in self._settling:
            task.cancel()
        self.slots.stop()

    def put(self, name: str, body: Body) -> bool:
        """Create or change an endpoint; returns whether it is new.

        Raises:
            AzureError: the name or the traffic is refused, or another operation goes on; the body's shape was checked
                before.
        """
        check_name(name, ENDPOINT_NAME)
        old = self._store.get("onlineEndpoints", name)
        _check_free(f"Cannot change endpoint {name}", old)
        properties = body["properties"]
        traffic: dict[str, int] = properties.get("traffic") or {}
        self._check_traffic(name, traffic)
        fresh: Body = {"keys": [secrets.token_urlsafe(24), secrets.token_urlsafe(24)]}
        internal = old["internal"] if old else fresh
        seconds = self._faults.endpoint_delay(name)
        shown = {
            "mirrorTraffic": {},
            "properties": {},
            **properties,
            "traffic": traffic,
            "scoringUri": f"{self._config.base_url}/online/{name}/score",
            "swaggerUri": f"{self._config.base_url}/online/{name}/swagger.json",
            "provisioningState": ("Updating" if old else "Creating") if seconds else "Succeeded",
            "publicNetworkAccess": "Enabled",
        }
        created = old["created"] if old else now_text()
        kept: Body = {k: body[k] for k in ("location", "tags", "identity", "kind", "sku") if k in body}
        identity = {"identity": {**IDENTITY, **(body.get("identity") or {})}, "kind": kept.get("kind") or "Managed"}
        record = {**kept, **identity, "properties": shown, "internal": internal, "created": created}
        self._store.put("onlineEndpoints", name, {**record, "modified": now_text()})
        if seconds:
            self._later(seconds, name)
        return old is None

    def _later(self, seconds: float, name: str) -> None:
        async def settle() -> None:
            await asyncio.sleep(seconds)
            self._settle(name)

        task = asyncio.get_running_loop().create_task(settle())
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _settle(self, name: str) -> None:
        """Say that what went on at an endpoint is done."""
        with self._store.lock:
            body = self._store.get("onlineEndpoints", name)
            if body is not None and body["properties"]["provisioningState"] in UNDER_WAY:
                body["properties"]["provisioningState"] = "Succeeded"
                self._store.put("onlineEndpoints", name, body)

    def new_key(self, name: str, kind: str, value: str | None) -> None:
        """Replace one of an endpoint's keys, by `value` or by a random one: azure-ai-ml sends the key that it is.

        Raises:
            AzureError: 400, the endpoint takes tokens, or has no such key.
        """
        with self._store.lock:
            body = self.known(name)
            if body["properties"]["authMode"] != "Key" or kind not in KEY_TYPES:
                raise user_error(f"Endpoint {name} takes {body['properties']['authMode']}, and has no {kind[:20]} key")
            keys, at = body["internal"]["keys"], KEY_TYPES.index(kind)
            keys[at] = value if value and value != keys[at] else secrets.token_urlsafe(24)
            self._store.put("onlineEndpoints", name, body)

    def known(self, name: str) -> Body:
        """An endpoint that is there.

        Raises:
            AzureError: 404.
        """
        body = self._store.get("onlineEndpoints", name)
        if body is None:
            raise not_found(f"Endpoint {name}")
        return body

    def _check_traffic(self, name: str, traffic: dict[str, int]) -> None:
        known: dict[str, Body] = {key.rpartition("/")[2]: body for key, body in self.deployments(name)}
        if unknown := sorted(slot for slot, percent in traffic.items() if percent and slot not in known):
            raise user_error(f"Traffic names deployments that do not exist: {', '.join(unknown)}")
        if sum(traffic.values()) not in {0, 100}:
            raise user_error(f"Traffic must sum to 100 or to 0, not to {sum(traffic.values())}")
        for slot, percent in traffic.items():
            if percent and known[slot]["properties"]["provisioningState"] != "Succeeded":
                raise user_error(f"Deployment {slot} cannot take traffic before it is provisioned")

    def deployments(self, name: str) -> list[tuple[str, Body]]:
        """An endpoint's deployments."""
        return self._store.list("deployments", f"{name}/deployments/")

    def delete(self, name: str) -> None:
        """Delete an endpoint with its deployments.

        Raises:
            AzureError: 409, something goes on there.
        """
        _check_free(f"Cannot delete endpoint {name}", self._store.get("onlineEndpoints", name))
        for key, _ in self.deployments(name):
            self._remove(key)
        self._store.delete("onlineEndpoints", name)

    def put_deployment(self, name: str, slot: str, body: Body) -> bool:
        """Create a deployment, or change it; returns whether it is new.

        Raises:
            AzureError: no such endpoint or model, a wrong name, too many deployments, or another operation goes on.
        """
        _check_free(f"Cannot create a deployment in endpoint {name}", self.known(name))
        check_name(slot, ENDPOINT_NAME)
        key = f"{name}/deployments/{slot}"
        old = self._store.get("deployments", key)
        _check_free(f"Cannot change deployment {slot} of endpoint {name}", old)
        if old is None and len(self.deployments(name)) >= MOST_DEPLOYMENTS:
            raise user_error(f"An endpoint takes at most {MOST_DEPLOYMENTS} deployments")
        self._models.folder(str(body["properties"].get("model") or ""))
        same = old is not None and old["properties"].get("model") == body["properties"].get("model")
        if same and old is not None and old["properties"]["provisioningState"] != "Failed":
            state = {"provisioningState": old["properties"]["provisioningState"]}
            changed = {**old["properties"], **body["properties"], **state}
            self._store.put("deployments", key, {**old, **body, "properties": changed, "modified": now_text()})
            return False
        given = {k: v for k, v in body["properties"].items() if v is not None}
        properties = {**DEPLOYMENT_DEFAULTS, **given, "provisioningState": "Creating"}
        self._store.put("deployments", key, {**body, "properties": properties, "internal": {}, "created": now_text()})
        self.slots.begin(key)
        return old is None

    def delete_deployment(self, name: str, slot: str) -> None:
        """Delete a deployment; one that is not there is fine.

        Raises:
            AzureError: it has traffic.
        """
        endpoint = self._store.get("onlineEndpoints", name)
        if endpoint and endpoint["properties"]["traffic"].get(slot):
            raise conflict(f"Deployment {slot} has traffic and cannot be deleted: set its traffic to 0 first")
        self._remove(f"{name}/deployments/{slot}")

    def _remove(self, key: str) -> None:
        self._store.delete("deployments", key)
        self.slots.end(key)

    def authorise(self, name: str, authorization: str | None, check_token: Callable[[str], None]) -> Body:
        """See that a scoring request may pass; returns the endpoint. `check_token` is given the audience to check for.

        Raises:
            AzureError: 404, 401, 403.
        """
        body = self.known(name)
        if body["properties"]["authMode"] == "Key":
            scheme, _, given = (authorization or "").partition(" ")
            if authorization and scheme.lower() != "bearer":
                raise AzureError(403, "key_auth_bad_header_forbidden", "The header is not 'Authorization: Bearer KEY'")
            if not any(secrets.compare_digest(given.encode(), key.encode()) for key in body["internal"]["keys"]):
                raise AzureError(401, "key_auth_access_denied", "The key is missing or wrong")
        else:
            check_token(own_audience(name) if body["properties"]["authMode"] == "AMLToken" else AUDIENCE)
        return body


def own_audience(name: str) -> str:
    """Whom the tokens are for that an endpoint gives out itself."""
    return f"azureml:{name}"


def _check_free(what: str, body: Body | None) -> None:
    """Refuse to change what is being changed.

    Raises:
        AzureError: 409.
    """
    state = body["properties"]["provisioningState"] if body else ""
    if state in UNDER_WAY:
        raise conflict(f"{what} because it is in {state} provisioning state")
