"""Starts the local cloud beside `dev.py`, tells where it is, and ends it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from devtools.client import Client
from devtools.console import Stop, say, step
from devtools.layout import PORTS, shown, venv_python
from devtools.processes import Background, Command, is_alive


def running(folder: Path) -> int | None:
    """The process id of the cloud that runs on a folder, if one does."""
    try:
        owner = int((folder / "lock").read_text() or 0)
    except (OSError, ValueError):
        return None
    return owner if owner and is_alive(owner) and _is_ours(owner) else None


def _is_ours(pid: int) -> bool:
    """Process ids are used again; where the system tells, the command line decides."""
    try:
        return b"emulator" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def is_free(port: int) -> bool:
    """Whether we could listen on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def check_can_start(folder: Path, ports: str) -> None:
    """Refuse before anything is installed what could not be started after it.

    Raises:
        Stop: a cloud runs on this folder already (code 3), or a port is taken (code 4).
    """
    owner = running(folder)
    if owner is not None:
        raise Stop(
            f"A local cloud already runs on {shown(folder)} (process {owner}). "
            "Use that one, end it with Ctrl-C where it runs, or give another --folder with --ports auto.",
            3,
        )
    taken = [f"{port} ({name})" for name, port in PORTS.items() if ports == "default" and not is_free(port)]
    if taken:
        raise Stop(
            f"Another program listens on port {', '.join(taken)}: end it, or add --ports auto to use free ones.", 4
        )


class LocalCloud:
    """A running local cloud."""

    def __init__(self, folder: Path, ports: str, options: Sequence[str] = ()) -> None:
        """Start it; `options` are the supervisor's own."""
        command: Command = [venv_python(), "-m", "emulator", "up", "--folder", folder, "--ports", ports, *options]
        self.folder = folder
        self._words: list[str] = []
        self._ready = threading.Event()
        self._process = Background(command)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> Client:
        """The client of the cloud, once it is ready.

        Raises:
            Stop: it did not start; its own sentence and exit code.
        """
        while not self._ready.wait(0.05):
            code = self._process.wait(0)
            if code is not None:
                self._reader.join(2)
                raise Stop(_sentence(self._words), code or 1)
        return Client(self.folder)

    def wait(self) -> int:
        """Until the cloud ends by itself, which it should not."""
        while (code := self._process.wait(0.5)) is None:
            continue
        return code

    def is_over(self) -> bool:
        """Whether it has ended by itself, as one that could not start."""
        return self._process.wait(0) is not None

    def end(self) -> None:
        self._process.end()

    def _read(self) -> None:
        for line in self._process.lines:
            if line == "ready":
                self._ready.set()
            elif self._ready.is_set():
                say(line)
            else:
                self._words.append(line)


def _sentence(words: Sequence[str]) -> str:
    """What a cloud that did not start says; argparse's own words are about a program that nobody called."""
    said = [line.rpartition("python -m emulator: error: ")[2] for line in words if not line.startswith("usage: ")]
    if any("ModuleNotFoundError" in line for line in said):
        said.append("The installed packages are damaged: remove the folder .venv, and run the same command again.")
    return "\n".join(said) or "The local cloud did not start"


@contextlib.contextmanager
def local_cloud(folder: Path, ports: str, options: Sequence[str] = ()) -> Iterator[tuple[LocalCloud, Client]]:
    """A local cloud for as long as the block runs; nothing of it is left after."""
    cloud = None
    try:
        with step("starting the local cloud"):
            cloud = LocalCloud(folder, ports, options)
            client = cloud.wait_until_ready()
        yield cloud, client
    finally:
        if cloud is not None:
            _end(cloud)


def _end(cloud: LocalCloud) -> None:
    started, was_over = time.monotonic(), cloud.is_over()
    cloud.end()
    if not was_over:
        seconds = time.monotonic() - started
        say(f"The local cloud has ended ({seconds:.1f} s); its state is kept in {shown(cloud.folder)}.")


def dashboard(client: Client) -> str:
    """The status page with its key, which it takes out of the address."""
    return f"{client.urls['host']}/api/dashboard?code={client.key}"


def describe(client: Client, folder: Path) -> str:
    """Addresses, keys and files worth looking at."""
    rows = {
        "dashboard": dashboard(client),
        "API": f"{client.urls['host']}/api/docs  (what there is, to read and to try)",
        "status": f"{client.urls['host']}/api/status?code={client.key}",
        "storage": f"{client.urls['blob']}  (queues: {client.urls['queue']})",
        "Azure ML": f"{client.urls['azure_ml']}/emulator/overview",
        "Event Grid": client.urls["event_grid"],
        "function key": f"{client.key}  (header x-functions-key, or ?code=)",
        "certificate": f"{shown(folder / 'certs' / 'ca.pem')}  (trust it, or pass it: curl --cacert)",
        "environment": f"{shown(folder / 'cloud.json')}  (what the Azure SDKs need to talk to this cloud)",
        "logs": shown(folder / "logs"),
    }
    return "\n".join(f"  {name:<13} {value}" for name, value in rows.items())
