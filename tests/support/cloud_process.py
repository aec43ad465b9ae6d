"""Starts and stops a local cloud of a test's own: its own folder, its own free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.cloud import identity
from services.cloud.http import pool, target

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 150


class CloudProcess:
    """`python -m emulator up`, as a user's `dev.py serve` runs it."""

    def __init__(self, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._arguments = arguments
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.folder / "cloud.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "emulator", "up", "--folder", str(self.folder), "--ports", "auto"]
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._arguments],
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        ends = time.monotonic() + READY_SECONDS
        while time.monotonic() < ends:
            if (self.folder / "cloud.json").exists() and self.description()["ready"]:
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        raise AssertionError(f"The local cloud did not start:\n{(self.folder / 'up.log').read_text()[-3000:]}")

    def description(self) -> dict[str, Any]:
        """What cloud.json says now: urls, keys, pids, environment."""
        found: dict[str, Any] = json.loads((self.folder / "cloud.json").read_text())
        return found

    @property
    def environment(self) -> dict[str, str]:
        return {str(k): str(v) for k, v in self.description()["environment"].items()}

    @property
    def urls(self) -> dict[str, str]:
        return {str(k): str(v) for k, v in self.description()["urls"].items()}

    @property
    def key(self) -> str:
        return str(self.description()["keys"]["default"])

    def kill_host(self) -> None:
        """SIGKILL the Functions host, as a machine that goes away does; the supervisor starts another."""
        os.kill(int(self.description()["pids"]["host"]), signal.SIGKILL)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None


@contextmanager
def running_cloud(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[CloudProcess]:
    """A running local cloud whose environment this process speaks to until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    cloud = CloudProcess(folder, *arguments, environment=environment)
    cloud.start()
    before = dict(os.environ)
    os.environ.update(cloud.environment)
    forget_cloud()
    try:
        yield cloud
    finally:
        os.environ.clear()
        os.environ.update(before)
        cloud.stop()
        forget_cloud()


def forget_cloud() -> None:
    """A process has one cloud; the test's process has several, one after the other."""
    pool().clear()
    pool.cache_clear()
    target.cache_clear()
    identity._tokens.clear()
