"""The local cloud as a whole: start, supervise, describe, stop."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import ssl
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from emulator.certificates import certificates
from emulator.state_files import write_json
from emulator.storage.azurite import StoragePorts, azurite_command
from emulator.storage.installation import install
from emulator.supervisor.children import Child, is_running, kill_stale
from emulator.supervisor.layout import Layout
from emulator.supervisor.provision import provision

START_SECONDS = 60
STOP_SECONDS = {"azurite": 10, "azure_ml": 8, "event_grid": 5, "host": 15}
"""Each has its own: a host that takes all of its time must not cost Azurite what it has not written yet."""
TICK_SECONDS = 0.2
ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("supervisor")


class AlreadyRunning(Exception):
    """Another supervisor has this folder."""


class DidNotStart(Exception):
    """A service ended, or did not become ready; the message holds its last words."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was asked for."""

    app: Path | None
    azurite: Path
    chaos: str = ""
    schema: str = "cloudevents"
    capture: str | None = None
    retry_scale: float = 1.0


class LocalCloud:
    """All processes of one folder."""

    def __init__(self, layout: Layout, options: Options) -> None:
        """Nothing is started yet."""
        self._layout, self._options = layout, options
        self._lock = layout.folder / "lock"
        self._description = layout.folder / "cloud.json"
        self._children: list[Child] = []

    def start(self, ends: threading.Event) -> None:
        """Start everything and wait until it is ready.

        Raises:
            AlreadyRunning, PortTaken, InstallationError, DidNotStart: each with a sentence for people.
        """
        self._take_lock()
        self._end_stale()
        self._description.unlink(missing_ok=True)
        with self._layout.ports.held():
            self._start(ends)
        self._describe()

    def _start(self, ends: threading.Event) -> None:
        install(self._options.azurite, lambda line: print(line, file=sys.stderr, flush=True))
        certificates(self._layout.certificates)
        storage = self._azurite()
        self._children = [storage, *self._services()]
        storage.start()
        for child in self._children[1:3]:
            child.start()
        self._wait([storage], ends)
        if ends.is_set():  # nobody answers yet, and nothing more is needed
            return
        provision(self._layout)
        for child in self._children[3:]:
            child.start()
        self._wait(self._children, ends)

    def supervise(self, ends: threading.Event) -> None:
        """Start again what dies, until told to end."""
        while not ends.wait(TICK_SECONDS):
            if any([child.look_after() for child in self._children]):  # noqa: C419  # each is looked after
                self._describe()

    def stop(self) -> None:
        """End everything: the app first, then what it uses, Azurite last so that it keeps everything."""
        self._description.unlink(missing_ok=True)
        for child in reversed(self._children):
            child.ask_to_end()
            child.end(STOP_SECONDS[child.name])
        self._lock.unlink(missing_ok=True)

    def _take_lock(self) -> None:
        """One supervisor a folder; a lock whose process is gone is taken over."""
        with contextlib.suppress(FileExistsError), self._lock.open("x") as lock:
            lock.write(str(os.getpid()))
            return
        owner = self._owner()
        if owner and is_running(owner, "emulator"):
            raise AlreadyRunning(f"A local cloud already runs on {self._layout.folder} (process {owner})")
        self._lock.write_text(str(os.getpid()))

    def _owner(self) -> int:
        try:
            return int(self._lock.read_text())
        except ValueError:  # killed before it wrote its id
            return 0

    def _end_stale(self) -> None:
        """Should a killed supervisor's Azurite still run, it would hold our ports and files."""
        if self._description.exists():
            with contextlib.suppress(ValueError, KeyError):
                pids = json.loads(self._description.read_text())["pids"]
                kill_stale(int(pids["azurite"]), str(self._layout.folder))

    def _azurite(self) -> Child:
        layout, found = self._layout, certificates(self._layout.certificates)
        ports = StoragePorts(layout.ports.blob, layout.ports.queue, layout.ports.table)
        command = azurite_command(self._options.azurite, layout.folder / "azurite", ports, found)
        return self._child("azurite", command, _listens(layout.ports.blob, layout.ports.queue))

    def _services(self) -> Iterator[Child]:
        layout, ports = self._layout, self._layout.ports
        config = layout.folder / "azure_ml" / "config.json"
        config.parent.mkdir(exist_ok=True)
        _write_config(config, layout.azure_ml_config(self._options.capture))
        command = _module("azure_ml", "--folder", config.parent, "--port", ports.azure_ml, "--config", config)
        ready = self._answers(f"{layout.urls['azure_ml']}/emulator/health")
        yield self._child("azure_ml", [*command, "--certs", str(layout.certificates)], ready)
        config = layout.folder / "event_grid" / "config.json"
        config.parent.mkdir(exist_ok=True)
        _write_config(
            config, layout.event_grid_config(self._options.chaos, self._options.schema, self._options.retry_scale)
        )
        command = _module("event_grid", "--config", config, "--port", ports.event_grid, "--certs", layout.certificates)
        ready = self._answers(f"{layout.urls['event_grid']}/emulator/health")
        yield self._child("event_grid", command, ready)
        if self._options.app is not None:
            command = _module("functions_host", "--app", self._options.app, "--port", ports.host)
            ready = self._answers(f"{layout.urls['host']}/admin/host/status")
            yield self._child("host", [*command, "--keys", str(layout.folder / "keys.json")], ready)

    def _child(self, name: str, command: list[str], ready: Callable[[], bool]) -> Child:
        layout = self._layout
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {**layout.defaults, **os.environ, **layout.environment, "PYTHONPATH": paths}
        return Child(name, command, environment, layout.folder / "logs" / f"{name}.log", ready)

    def _answers(self, url: str) -> Callable[[], bool]:
        context = ssl.create_default_context(cafile=str(self._layout.certificates / "ca.pem"))

        def ask() -> bool:
            try:
                with urllib.request.urlopen(url, timeout=2, context=context) as answer:  # ours
                    return bool(answer.status == 200)
            except OSError:
                return False

        return ask

    def _wait(self, children: list[Child], ends: threading.Event) -> None:
        latest = time.monotonic() + START_SECONDS
        waiting = list(children)
        while waiting and not ends.wait(0.05):
            dead = next((c for c in waiting if c.process is not None and c.process.poll() is not None), None)
            if dead or time.monotonic() > latest:
                child = dead or waiting[0]
                raise DidNotStart(f"{child.name} did not start. Its last words ({child.log}):\n{child.last_words()}")
            waiting = [c for c in waiting if not c.is_ready()]

    def _describe(self) -> None:
        keys = {name: self._layout.keys[name] for name in ("master", "default", "eventgrid_extension")}
        found = {
            "ready": True,
            "pid": os.getpid(),
            "pids": {child.name: child.pid for child in self._children},
            "urls": self._layout.urls,
            "keys": keys,
            "environment": self._layout.environment,
        }
        write_json(self._description, found)
        self._description.chmod(0o600)


def _module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"emulator.{name}", *map(str, arguments)]


def _write_config(file: Path, config: object) -> None:
    write_json(file, config)
    file.chmod(0o600)


def _listens(*ports: int) -> Callable[[], bool]:
    def ask() -> bool:
        try:
            for port in ports:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    return ask
