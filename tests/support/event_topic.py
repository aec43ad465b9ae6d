"""The local cloud's topics alone: `python -m emulator.event_grid`, with no blob to tell of and nobody who listens."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from emulator.azure_ml.identity import Identity
from emulator.certificates import certificates
from tests.support.azure_ml_process import ROOT, free_port

KEY, SECRET = "a-topic-key", "an-identity-secret"


@dataclass(frozen=True, slots=True)
class Topics:
    """Where they are."""

    url: str
    authority: Path

    def address(self, topic: str) -> str:
        return f"{self.url}/topics/{topic}/api/events"

    def published(self, topic: str) -> list[dict[str, Any]]:
        """What a topic has taken, the newest first."""
        answer = httpx.get(f"{self.url}/emulator/topics/{topic}/events", timeout=60)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    def token(self, resource: str) -> str:
        return Identity(SECRET).issue(resource, SECRET)["access_token"]


@contextmanager
def running_topics(folder: Path) -> Iterator[Topics]:
    """A running process, whose certificate this one trusts until the end of the block."""
    port, found = free_port(), certificates(folder / "certs")
    blob = {"account_url": "https://127.0.0.1:1/x", "account_key": "", "log": str(folder / "none.log"), "topic": "/t"}
    nobody = {"name": "nobody", "topic": "none", "endpoint": "http://127.0.0.1:1/"}
    config = {"folder": str(folder), "key": KEY, "identity": SECRET, "blob": blob, "subscriptions": [nobody]}
    (folder / "config.json").write_text(json.dumps(config))
    places = ["--config", str(folder / "config.json"), "--port", str(port), "--certs", str(folder / "certs")]
    command = [sys.executable, "-m", "emulator.event_grid", *places]
    trusted = {"REQUESTS_CA_BUNDLE": str(found.authority), "SSL_CERT_FILE": str(found.authority)}
    before = {name: os.environ.get(name) for name in trusted}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        _wait(port, process, folder / "log")
        os.environ.update(trusted)
        yield Topics(f"https://localhost:{port}", found.authority)
    finally:
        _restore(before)
        process.communicate(timeout=90)  # its standard input closes, and it ends


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 120
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < ends
        time.sleep(0.05)
