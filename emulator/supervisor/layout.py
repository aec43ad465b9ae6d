"""Where everything of one local cloud is: folder, ports, keys, addresses and the environment of its clients."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from emulator.free_ports import free_ports
from emulator.state_files import read_json, write_json

ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's published development key: https://learn.microsoft.com/azure/storage/common/storage-use-azurite"""
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
RESOURCE_GROUP, WORKSPACE = "local", "visionloop"
DATA_CONTAINER, SYSTEM_CONTAINER, WORKSPACE_CONTAINER = "visionloop-data", "visionloop-system", "workspaceblobstore"
KEYS = ("master", "default", "eventgrid_extension", "event_topic", "identity")
QUEUES = ("visionloop-wake", "visionloop-deliveries", "visionloop-predictions", "visionloop-inbound")


class PortTaken(Exception):
    """Somebody else listens where we want to."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports by service."""

    blob: int = 10000
    queue: int = 10001
    table: int = 10002
    azure_ml: int = 10010
    event_grid: int = 10020
    host: int = 7071

    @contextmanager
    def held(self) -> Iterator[None]:
        """See that all are free, and on Linux that nobody else is given one before our services listen.

        That takes seconds, in which any program that asks for some free port could get ours. Linux gives away no port
        that a socket is bound to, and lets whoever names the port listen beside one that does not (both with
        SO_REUSEADDR, which our services set); other systems refuse them.

        Raises:
            PortTaken: naming the first that is not free.
        """
        with ExitStack() as kept:
            for name, port in asdict(self).items():
                probe = _bound(name, port)
                kept.enter_context(probe) if sys.platform == "linux" else probe.close()
            yield


def _bound(name: str, port: int) -> socket.socket:
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        probe.close()
        raise PortTaken(
            f"Port {port} ({name}) is taken by another program: stop it, or start with --ports auto"
        ) from None
    return probe


@dataclass(frozen=True, slots=True)
class Layout:
    """One local cloud."""

    folder: Path
    ports: Ports
    keys: dict[str, str]

    @classmethod
    def open(cls, folder: Path, ports: str) -> Layout:
        """Read a folder's layout, made at the first call: addresses and keys stay, so that state survives a restart.

        `ports` is `default` or `auto`; free ports are chosen once for a folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder.resolve(), _ports(folder / "ports.json", ports), _keys(folder / "keys.json"))

    @property
    def certificates(self) -> Path:
        return self.folder / "certs"

    @property
    def urls(self) -> dict[str, str]:
        """Addresses by service; `blob` and `queue` with the account."""
        return {
            "blob": f"https://127.0.0.1:{self.ports.blob}/{ACCOUNT}",
            "queue": f"https://127.0.0.1:{self.ports.queue}/{ACCOUNT}",
            "azure_ml": f"https://localhost:{self.ports.azure_ml}",
            "event_grid": f"https://localhost:{self.ports.event_grid}",
            "host": f"http://127.0.0.1:{self.ports.host}",
        }

    @property
    def environment(self) -> dict[str, str]:
        """What a client sets, the app included, so that the unchanged SDKs talk to this cloud."""
        blob, queue = self.urls["blob"], self.urls["queue"]
        authority = str(self.certificates / "ca.pem")
        return {
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "AzureWebJobsStorage__blobServiceUri": blob,
            "AzureWebJobsStorage__queueServiceUri": queue,
            "DataStorage__blobServiceUri": blob,
            "SystemStorage__blobServiceUri": blob,
            "SystemStorage__queueServiceUri": queue,
            "VISIONLOOP_DATA_CONTAINER": DATA_CONTAINER,
            "VISIONLOOP_SYSTEM_CONTAINER": SYSTEM_CONTAINER,
            "VISIONLOOP_SUBSCRIPTION_ID": SUBSCRIPTION,
            "VISIONLOOP_RESOURCE_GROUP": RESOURCE_GROUP,
            "VISIONLOOP_WORKSPACE": WORKSPACE,
            "VISIONLOOP_DATA_DATASTORE": "visionloop_data",
            "VISIONLOOP_SYSTEM_DATASTORE": "visionloop_system",
            "ARM_CLOUD_METADATA_URL": f"{self.urls['azure_ml']}/metadata/endpoints",
            "REQUESTS_CA_BUNDLE": authority,
            "SSL_CERT_FILE": authority,
            "IDENTITY_ENDPOINT": f"{self.urls['azure_ml']}/msi/token",
            "IDENTITY_HEADER": self.keys["identity"],
        }

    @property
    def defaults(self) -> dict[str, str]:
        """App settings that suit a laptop, where the caller's environment does not say otherwise."""
        return {
            "PYTHON_THREADPOOL_THREAD_COUNT": "32",
            "VISIONLOOP_SWEEP_SCHEDULE": "*/30 * * * * *",
            "VISIONLOOP_POLL_SECONDS": "3",
            "VISIONLOOP_ALLOW_LOCAL_WEBHOOKS": "true",
            "VISIONLOOP_PUBLIC_URL": self.urls["host"],
        }

    def webhook(self, function: str) -> str:
        """Where Event Grid delivers to a function."""
        key = self.keys["eventgrid_extension"]
        return f"{self.urls['host']}/runtime/webhooks/eventgrid?functionName={function}&code={key}"

    def event_grid_config(self, chaos: str, schema: str, retry_scale: float = 1) -> dict[str, Any]:
        """Topics and subscriptions, as infra makes them in Azure."""
        account = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers"
        prefix = f"/blobServices/default/containers/{DATA_CONTAINER}/blobs/"
        return {
            "folder": str(self.folder / "event_grid"),
            "key": self.keys["event_topic"],
            "identity": self.keys["identity"],
            "chaos": chaos,
            "retry_scale": retry_scale,
            "blob": {
                "account_url": self.urls["blob"],
                "account_key": ACCOUNT_KEY,
                "log": str(self.folder / "logs" / "azurite.log"),
                "topic": f"{account}/Microsoft.Storage/storageAccounts/{ACCOUNT}",
            },
            "subscriptions": [
                {
                    "name": "data-to-app",
                    "topic": "blob",
                    "endpoint": self.webhook("storage_events"),
                    "schema": schema,
                    "subject_begins_with": prefix,
                    "event_types": ["Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobDeleted"],
                },
                {
                    "name": "azure-ml-to-app",
                    "topic": "azure-ml",
                    "endpoint": self.webhook("ml_events"),
                    "schema": schema,
                },
            ],
        }

    def azure_ml_config(self, capture: str | None) -> dict[str, Any]:
        """The workspace that infra makes in Azure."""
        containers = {
            "visionloop_data": DATA_CONTAINER,
            "visionloop_system": SYSTEM_CONTAINER,
            "workspaceblobstore": WORKSPACE_CONTAINER,
        }
        return {
            "subscription_id": SUBSCRIPTION,
            "resource_group": RESOURCE_GROUP,
            "workspace": WORKSPACE,
            "datastores": [
                {"name": n, "account_url": self.urls["blob"], "account_key": ACCOUNT_KEY, "container": c}
                for n, c in containers.items()
            ],
            "event_topic": {
                "url": f"{self.urls['event_grid']}/topics/azure-ml/api/events",
                "key": self.keys["event_topic"],
            },
            "identity_header": self.keys["identity"],
            "capture": capture,
        }


def _ports(file: Path, choice: str) -> Ports:
    if choice == "default":
        return Ports()
    if not file.exists():
        blob, queue, table, azure_ml, event_grid, host = free_ports(6)
        write_json(file, asdict(Ports(blob, queue, table, azure_ml, event_grid, host)))
    names = [field.name for field in fields(Ports)]
    found = read_json(file, names, "everything in the folder has other addresses then")
    return Ports(**{name: int(found[name]) for name in names})


def _keys(file: Path) -> dict[str, str]:
    if not file.exists():
        write_json(file, {name: secrets.token_urlsafe(32) for name in KEYS})
        file.chmod(0o600)
    return read_json(file, KEYS, "programs that have the old keys need the new ones")
