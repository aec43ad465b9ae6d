"""An installed Label Studio as a process of a test's own: its own folder, a free port, one user, its HTTP API."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

READY_SECONDS = 300
"""It makes its database first: two minutes on two cores."""


class LabelStudio:
    """One that runs; `api` is its user's."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.api = httpx.Client(base_url=f"{url}/api", headers={"authorization": f"Token {token}"}, timeout=60)

    def ask(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self.api.request(method, path, **arguments)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def tasks(self, project: int) -> dict[str, int]:
        """The tasks of a project by what their image is called there."""
        found = self.ask("GET", f"/tasks?project={project}&fields=all")["tasks"]
        return {task["data"]["image"]: task["id"] for task in found}

    def act(self, project: int, action: str, *tasks: int, **more: Any) -> Any:
        """One of the data manager's actions on some tasks."""
        chosen = {"selectedItems": {"all": False, "included": [*tasks]}, **more}
        return self.ask("POST", f"/dm/actions?id={action}&project={project}", json=chosen)


@contextmanager
def label_studio(program: Path, folder: Path) -> Iterator[LabelStudio]:
    """Start `label-studio` on a free port, and end it. It may reach this machine, which it refuses otherwise."""
    token, port = secrets.token_hex(20), _free_port()
    (folder / "home").mkdir(parents=True)
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ},
        "HOME": str(folder / "home"),
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "SSRF_PROTECTION_ENABLED": "false",
        "ML_BLOCK_LOCAL_IP": "false",
        **dict.fromkeys(("COLLECT_ANALYTICS", "LATEST_VERSION_CHECK"), "false"),
        **dict.fromkeys(("SENTRY_DSN", "FRONTEND_SENTRY_DSN"), ""),
    }
    command = [
        str(program), "start", "--no-browser", "--data-dir", str(folder / "data"), "--port", str(port),
        "--internal-host", "127.0.0.1", "--username", "tester@example.com", "--password", secrets.token_hex(8),
        "--user-token", token, "--enable-legacy-api-token", "--log-level", "WARNING",
    ]  # fmt: skip
    with (folder / "label-studio.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    found = LabelStudio(f"http://127.0.0.1:{port}", token)
    try:
        _wait_until_ready(found, process, folder / "label-studio.log")
        yield found
    finally:
        found.api.close()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait_until_ready(found: LabelStudio, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + READY_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        try:
            if found.api.get("/current-user/whoami").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"Label Studio did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
