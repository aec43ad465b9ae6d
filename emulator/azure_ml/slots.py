"""The processes behind deployments: started, probed, started again when they die."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import time
from pathlib import Path

import urllib3

from emulator.azure_ml.config import Config
from emulator.azure_ml.faults import Faults
from emulator.azure_ml.models import Models
from emulator.azure_ml.store import Store
from emulator.free_ports import free_ports

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


class Slots:
    """All slots, by the key of their deployment: `<endpoint>/deployments/<slot>`."""

    def __init__(self, config: Config, store: Store, models: Models, faults: Faults) -> None:
        """Nothing runs before `start`."""
        self._config, self._store, self._models, self._faults = config, store, models, faults
        self.live: dict[str, Slot] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start what was there when this process ended."""
        for key, body in self._store.list("deployments"):
            if body["properties"]["provisioningState"] != "Failed":
                self.begin(key)

    def stop(self) -> None:
        """End all."""
        for task in self._tasks:
            task.cancel()
        for slot in self.live.values():
            slot.end()

    def end(self, key: str) -> None:
        """End one, if it is there."""
        slot = self.live.pop(key, None)
        if slot is not None:
            slot.end()

    def log(self, key: str) -> Path:
        """Where a slot writes."""
        return self._config.folder / "slots" / f"{key.replace('/deployments/', '-')}.log"

    def begin(self, key: str) -> None:
        """Start a slot, in the place of the process that it may have."""
        replaced = self.live.pop(key, None)
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
        self.live[key] = slot
        if not await _is_live(slot):
            return not self._is_current(key, created)
        self.set(key, created, "Succeeded", {})
        while slot.process.poll() is None:  # noqa: ASYNC110  # a process has no event to wait for
            await asyncio.sleep(0.5)
        return True

    def _is_current(self, key: str, created: str) -> bool:
        body = self._store.get("deployments", key)
        return body is not None and body["created"] == created

    def _fail(self, key: str, created: str, message: str) -> None:
        log.warning("Slot %s failed: %s", key, message)
        self.set(key, created, "Failed", {"code": "ResourceOperationFailure", "message": message})

    def set(self, key: str, created: str, state: str, error: dict[str, str]) -> None:
        """Say how a deployment is, unless another one has its place."""
        with self._store.lock:
            body = self._store.get("deployments", key)
            if body is not None and body["created"] == created:
                body["properties"]["provisioningState"] = state
                body["internal"]["error"] = error
                self._store.put("deployments", key, body)

    def _start(self, key: str, model: str) -> Slot:
        [port] = free_ports(1)
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
