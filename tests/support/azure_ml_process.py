"""The Azure ML emulator as a process of a test's own, with Azurite behind it and a topic that keeps what it is told."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.certificates import certificates
from emulator.free_ports import free_ports
from emulator.storage.installation import entry_point, node
from tests.support.small_server import Handler, serving

ROOT = Path(__file__).resolve().parents[2]
AZURITE = ROOT / ".local" / "azurite"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
CONTAINERS = {"data": "data", "system": "system", "workspaceblobstore": "workspace"}
SUBSCRIPTION, GROUP, WORKSPACE = "00000000-0000-0000-0000-000000000001", "local", "visionloop"
SCOPE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)
SECRET = "an-identity-header"


def free_port() -> int:
    [found] = free_ports(1)
    return found


@dataclass
class Topic:
    """An Event Grid topic: `refuse` answers that many publications with 503 first."""

    events: list[dict[str, Any]] = field(default_factory=list)
    refuse: int = 0
    url: str = ""

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [e for e in self.events if str(e["type"]).endswith(f".{kind}")]


@contextmanager
def topic() -> Iterator[Topic]:
    found = Topic()

    class Receiver(Handler):
        def do_POST(self) -> None:
            body = json.loads(self.body())
            refused = found.refuse > 0 or self.headers.get("aeg-sas-key") != "topic-key"
            found.refuse = max(0, found.refuse - 1)
            if not refused:
                found.events += body if isinstance(body, list) else [body]
            self.answer(503 if refused else 200)

    with serving(Receiver) as address:
        found.url = f"{address}/topics/azure-ml/api/events"
        yield found


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """A blob service over TLS; yields the account's URL."""
    port, found = free_port(), certificates(folder / "certs")
    command = [str(node()), str(entry_point(AZURITE)).replace("azurite.js", "blob/main.js"), "--blobPort", str(port)]
    options = ["--oauth", "basic", "--cert", str(found.server), "--key", str(found.key), "--silent"]
    places = ["--location", str(folder / "azurite"), "--skipApiVersionCheck", "--disableTelemetry"]
    with (folder / "azurite.log").open("ab") as log:
        process = subprocess.Popen([*command, *options, *places], stdout=log, stderr=log)
    try:
        _wait(lambda: _listens(port), process, folder / "azurite.log")
        yield f"https://127.0.0.1:{port}/devstoreaccount1"
    finally:
        process.terminate()
        process.wait(60)


class AzureML:
    """`python -m emulator.azure_ml`; a restart keeps folder and port, and so its state."""

    def __init__(self, folder: Path, account_url: str, events: Topic, **config: Any) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"https://localhost:{self.port}"
        self.capture = folder / "capture.jsonl"
        self._certificates = certificates(folder / "certs")
        self._process: subprocess.Popen[bytes] | None = None
        stores = [
            {"name": n, "account_url": account_url, "account_key": ACCOUNT_KEY, "container": c}
            for n, c in CONTAINERS.items()
        ]
        described = {
            "subscription_id": SUBSCRIPTION,
            "resource_group": GROUP,
            "workspace": WORKSPACE,
            "datastores": stores,
            "event_topic": {"url": events.url, "key": "topic-key"},
            "identity_header": SECRET,
            "capture": str(self.capture),
            **config,
        }
        (folder / "config.json").write_text(json.dumps(described))

    @property
    def environment(self) -> dict[str, str]:
        authority = str(self._certificates.authority)
        return {
            "ARM_CLOUD_METADATA_URL": f"{self.url}/metadata/endpoints",
            "IDENTITY_ENDPOINT": f"{self.url}/msi/token",
            "IDENTITY_HEADER": SECRET,
            "REQUESTS_CA_BUNDLE": authority,
            "SSL_CERT_FILE": authority,
        }

    def start(self) -> None:
        places = ["--folder", str(self.folder / "azure_ml"), "--certs", str(self.folder / "certs")]
        config = ["--port", str(self.port), "--config", str(self.folder / "config.json")]
        command = [sys.executable, "-m", "emulator.azure_ml", *places, *config]
        environment = {**os.environ, **self.environment}
        log = self.folder / "azure_ml.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out
            )
        _wait(lambda: self.request("GET", "/emulator/health")[0] == 200, self._process, log)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        self._process.kill()
        self._close()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._close()

    def _close(self) -> None:
        assert self._process is not None
        self._process.wait(90)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process = None

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Ask without an SDK: status and JSON (or text) of the answer."""
        url = path if path.startswith("http") else self.url + path
        data = json.dumps(body).encode() if body is not None else None
        sent = {"content-type": "application/json", **(headers or {})}
        context = ssl.create_default_context(cafile=str(self._certificates.authority))
        request = urllib.request.Request(url, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                return answer.status, _read(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _read(error.read())
        except OSError:
            return 0, None

    def token(self, resource: str = "https://management.azure.com") -> str:
        header = {"X-IDENTITY-HEADER": SECRET}
        status, body = self.request("GET", f"/msi/token?resource={resource}&api-version=2019-08-01", headers=header)
        assert status == 200, body
        return str(body["access_token"])

    def arm(self, method: str, path: str, body: Any = None, version: str = "2024-01-01-preview") -> tuple[int, Any]:
        """A request to a resource of the workspace, as the SDK would send it."""
        headers = {"authorization": f"Bearer {self.token()}"}
        return self.request(method, f"{SCOPE}/{path}?api-version={version}", body, headers)


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait(ready: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 120
    while not ready():
        if process.poll() is not None or time.monotonic() > ends:
            process.kill()
            raise AssertionError(f"{log.name}:\n{log.read_text()[-3000:]}")
        time.sleep(0.05)
