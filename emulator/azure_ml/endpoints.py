"""Online endpoints: names, slots, traffic rules, and the processes behind the slots."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import urllib3

from emulator.azure_ml.config import Config
from emulator.azure_ml.errors import AzureError, conflict, not_found, user_error
from emulator.azure_ml.faults import Faults
from emulator.azure_ml.models import Models
from emulator.azure_ml.resources import check_name, now_text
from emulator.azure_ml.store import Body, Store

ENDPOINT_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]")
MOST_DEPLOYMENTS = 20
DEPLOYMENT_DEFAULTS: Body = {
    "scaleSettings": {"scaleType": "Default"},
    "requestSettings": {"maxConcurrentRequestsPerInstance": 1, "requestTimeout": "PT5S", "maxQueueWait": "PT0.5S"},
}
"""What Azure ML adds to a deployment that leaves it out; the SDK fails on one without scale settings."""
START_SECONDS = 60
PROBE_SECONDS = 2.0
RESTARTS = 3
STEADY_SECONDS = 60.0
"""A slot that lived so long begins to count its crashes anew."""
log = logging.getLogger("azure_ml")


class Slot:
    """One deployment's process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, ready: Path) -> None:
        """A process that was just started."""
        self.process, self.port, self.ready = process, port, ready

    def end(self) -> None:
        """End the process."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Endpoints:
    """All endpoints; deployments have the key `<endpoint>/deployments/<slot>`."""

    def __init__(self, config: Config, store: Store, models: Models, faults: Faults) -> None:
        """Nothing runs before `start`."""
        self._config, self._store, self._models, self._faults = config, store, models, faults
        self.slots: dict[str, Slot] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the slots that were there when this process ended, and finish what was being created."""
        for key, body in self._store.list("deployments"):
            if body["properties"]["provisioningState"] != "Failed":
                self._begin(key)

    def stop(self) -> None:
        """End all slots; their deployments are still there at the next start."""
        for task in self._tasks:
            task.cancel()
        for slot in self.slots.values():
            slot.end()

    def put(self, name: str, body: Body) -> bool:
        """Create or change an endpoint; returns whether it is new.

        Raises:
            AzureError: the name or the traffic is refused; the body's shape was checked before.
        """
        check_name(name, ENDPOINT_NAME)
        properties = body["properties"]
        traffic: dict[str, int] = properties.get("traffic") or {}
        self._check_traffic(name, traffic)
        old = self._store.get("onlineEndpoints", name)
        fresh: Body = {"keys": [secrets.token_urlsafe(24), secrets.token_urlsafe(24)]}
        internal = old["internal"] if old else fresh
        shown = {
            **properties,
            "traffic": traffic,
            "scoringUri": f"{self._config.base_url}/online/{name}/score",
            "swaggerUri": f"{self._config.base_url}/online/{name}/swagger.json",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
        }
        created = old["created"] if old else now_text()
        kept: Body = {k: body[k] for k in ("location", "tags", "identity", "kind", "sku") if k in body}
        record = {**kept, "properties": shown, "internal": internal, "created": created}
        self._store.put("onlineEndpoints", name, record)
        return old is None

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
        """Delete an endpoint with its deployments."""
        for key, _ in self.deployments(name):
            self._remove(key)
        self._store.delete("onlineEndpoints", name)

    def put_deployment(self, name: str, slot: str, body: Body) -> bool:
        """Create a deployment, or repeat its creation; returns whether it is new.

        Raises:
            AzureError: no such endpoint or model, a wrong name, or too many deployments.
        """
        if self._store.get("onlineEndpoints", name) is None:
            raise not_found(f"Endpoint {name}")
        check_name(slot, ENDPOINT_NAME)
        key = f"{name}/deployments/{slot}"
        old = self._store.get("deployments", key)
        if old is None and len(self.deployments(name)) >= MOST_DEPLOYMENTS:
            raise user_error(f"An endpoint takes at most {MOST_DEPLOYMENTS} deployments")
        self._models.folder(str(body["properties"].get("model") or ""))
        same = old is not None and old["properties"].get("model") == body["properties"].get("model")
        if same and old is not None and old["properties"]["provisioningState"] != "Failed":
            state = {"provisioningState": old["properties"]["provisioningState"]}
            changed = {**old["properties"], **body["properties"], **state}
            self._store.put("deployments", key, {**old, **body, "properties": changed})
            return False
        properties = {**DEPLOYMENT_DEFAULTS, **body["properties"], "provisioningState": "Creating"}
        self._store.put("deployments", key, {**body, "properties": properties, "internal": {}, "created": now_text()})
        self._begin(key, self.slots.pop(key, None))
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
        self._end(key)

    def _end(self, key: str) -> None:
        slot = self.slots.pop(key, None)
        if slot is not None:
            slot.end()

    def log(self, key: str) -> Path:
        """Where a slot writes."""
        return self._config.folder / "slots" / f"{key.replace('/deployments/', '-')}.log"

    def _begin(self, key: str, replaced: Slot | None = None) -> None:
        task = asyncio.get_running_loop().create_task(self._keep(key, replaced))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, key: str, replaced: Slot | None) -> None:
        """Start a slot, say how that went, and start it again when it dies, a few times."""
        if replaced is not None:
            await asyncio.to_thread(replaced.end)
        await asyncio.sleep(self._faults.deployment_delay(key))
        body = self._store.get("deployments", key)
        if body is None:
            return
        created, message = body["created"], self._faults.deployment_failure(key)
        crashes = 0
        while crashes < RESTARTS and not message:
            began = time.monotonic()
            if not await self._serve(key, created, str(body["properties"]["model"])):
                break
            if not self._is_current(key, created):
                return
            log.warning("Slot %s ended and is started again", key)
            crashes = 1 if time.monotonic() - began > STEADY_SECONDS else crashes + 1
        self._fail(key, created, message or "The container did not become live; see the deployment's log")

    async def _serve(self, key: str, created: str, model: str) -> bool:
        """Run a slot's process to its end; returns whether it was live, or nobody wanted it any more."""
        slot = await asyncio.to_thread(self._start, key, model)
        if not self._is_current(key, created):
            await asyncio.to_thread(slot.end)
            return True
        self.slots[key] = slot
        if not await _is_live(slot):
            return not self._is_current(key, created)
        self._set(key, created, "Succeeded", {})
        while slot.process.poll() is None:  # noqa: ASYNC110  # a process has no event to wait for
            await asyncio.sleep(0.5)
        return True

    def _is_current(self, key: str, created: str) -> bool:
        body = self._store.get("deployments", key)
        return body is not None and body["created"] == created

    def _fail(self, key: str, created: str, message: str) -> None:
        log.warning("Slot %s failed: %s", key, message)
        self._set(key, created, "Failed", {"code": "ResourceOperationFailure", "message": message})

    def _set(self, key: str, created: str, state: str, error: dict[str, str]) -> None:
        with self._store.lock:
            body = self._store.get("deployments", key)
            if body is not None and body["created"] == created:
                body["properties"]["provisioningState"] = state
                body["internal"]["error"] = error
                self._store.put("deployments", key, body)

    def _start(self, key: str, model: str) -> Slot:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        out = self.log(key)
        out.parent.mkdir(parents=True, exist_ok=True)
        ready = out.with_suffix(f".{port}.ready")
        ready.unlink(missing_ok=True)
        command = [
            *self._config.serving_command,
            *("--model", str(self._models.folder(model)), "--port", str(port), "--ready-file", str(ready)),
        ]
        with out.open("ab") as written:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=written, stderr=subprocess.STDOUT)
        return Slot(process, port, ready)

    def authorise(self, name: str, authorization: str | None, check_token: Any) -> Body:
        """See that a scoring request may pass; returns the endpoint.

        Raises:
            AzureError: 404, 401.
        """
        body = self._store.get("onlineEndpoints", name)
        if body is None:
            raise not_found(f"Endpoint {name}")
        if str(body["properties"]["authMode"]).lower() != "aadtoken":
            given = (authorization or "").removeprefix("Bearer ")
            if not any(secrets.compare_digest(given.encode(), key.encode()) for key in body["internal"]["keys"]):
                raise AzureError(401, "key_auth_access_denied", "The key is missing or wrong")
        else:
            check_token(authorization)
        return body


async def _is_live(slot: Slot) -> bool:
    """Wait until a slot says that it is ready and its liveness probe is answered with 200."""
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends and slot.process.poll() is None:
        if slot.ready.exists() and await asyncio.to_thread(_probe, slot.port):
            slot.ready.unlink(missing_ok=True)
            return True
        await asyncio.sleep(0.05)
    await asyncio.to_thread(slot.end)
    return False


def _probe(port: int) -> bool:
    try:
        return urllib3.request("GET", f"http://127.0.0.1:{port}/", timeout=PROBE_SECONDS, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def tail(file: Path, lines: int) -> str:
    """The last lines of a log."""
    if not file.exists():
        return ""
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
