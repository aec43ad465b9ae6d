"""The Azure ML emulator inside the test's process: no TLS, no Azurite; blobs are a dictionary."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from azure.core.exceptions import ResourceNotFoundError

from emulator.azure_ml.app import Emulator
from emulator.azure_ml.config import Config
from tests.support.azure_ml_process import CONTAINERS, SCOPE

BASE = "https://localhost:1"
SECRET = "secret"
CLUSTER = {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_NC4as_T4_v3"}}


@dataclass
class Blobs:
    """A container: what a path holds; `reads` counts what was really downloaded."""

    held: dict[str, bytes] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def download_blob(self, path: str) -> Any:
        if path not in self.held:
            raise ResourceNotFoundError("BlobNotFound")
        data = self.held[path]

        def readall() -> bytes:
            self.reads.append(path)
            return data

        return SimpleNamespace(readall=readall, properties=SimpleNamespace(etag=hashlib.sha256(data).hexdigest()))


class App:
    """Requests by `ask` and `arm`; the store and all parts at hand."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        stores = [
            {"name": n, "account_url": "https://127.0.0.1:1/devstoreaccount1", "account_key": "a2V5", "container": c}
            for n, c in CONTAINERS.items()
        ]
        names = SCOPE.split("/")
        self.config = Config(
            folder=folder,
            base_url=BASE,
            subscription_id=names[2],
            resource_group=names[4],
            workspace=names[8],
            datastores=stores,
            identity_header=SECRET,
            **settings,
        )
        self.emulator = Emulator(self.config)
        self.blobs = {name: Blobs() for name in CONTAINERS}
        self.emulator.tables._containers.update(self.blobs)  # type: ignore[arg-type]
        self._app = self.emulator.application()

    def close(self) -> None:
        asyncio.run(self.emulator.scoring.close())
        self.emulator.store.close()

    def token(self, audience: str = "https://management.azure.com") -> str:
        return self.emulator.identity.issue(audience, SECRET)["access_token"]

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.token()}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
            return await client.request(method, path, content=content, headers=sent)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return asyncio.run(self.send(method, path, body, **headers))

    def arm(self, method: str, path: str, properties: Any = None, **rest: Any) -> httpx.Response:
        """A request to a resource below the workspace, whose body has these properties."""
        body = {"properties": properties, **rest} if properties is not None or rest else None
        return self.ask(method, f"{SCOPE}/{path}?api-version=2024-01-01-preview", body)

    def store_data(self, name: str = "cats", rows: int = 12) -> None:
        """A registered table of images."""
        lines = []
        for number in range(rows):
            self.blobs["data"].held[f"{name}/{number}.jpg"] = b"image %d" % number
            url = f"azureml://datastores/data/paths/{name}/{number}.jpg"
            lines.append(json.dumps({"image_url": url, "image_details": {"width": 4, "height": 3}, "label": "cat"}))
        self.blobs["system"].held[f"{name}/MLTable"] = b"paths: [{file: ./lines.jsonl}]"
        self.blobs["system"].held[f"{name}/lines.jsonl"] = "\n".join(lines).encode()
        uri = f"azureml://datastores/system/paths/{name}/"
        assert self.arm("PUT", f"data/{name}/versions/1", {"dataUri": uri, "dataType": "mltable"}).status_code == 201

    def job(self, data: str = "cats", **details: Any) -> dict[str, Any]:
        """The properties of a detection job."""
        table = {"uri": f"{SCOPE}/data/{data}/versions/1", "jobInputType": "mltable"}
        found = {"taskType": "ImageObjectDetection", "trainingData": table, "validationData": table, **details}
        compute = f"{SCOPE}/computes/gpu-cluster"
        return {"jobType": "AutoML", "computeId": compute, "experimentName": "cats", "taskDetails": found}

    def store_model(self, name: str = "cats") -> str:
        """A registered model of a run that was; returns its resource id."""
        folder = self.config.folder / "model"
        folder.mkdir(exist_ok=True)
        (folder / "MLmodel").write_text("flavors: {}")
        self.emulator.runs.add_child(f"{name}_HD", f"{name}_HD_0", {})
        self.emulator.runs.note(f"{name}_HD_0", model=str(folder))
        uri = f"azureml://jobs/{name}_HD_0/outputs/artifacts/outputs/mlflow-model/"
        answer = self.arm("PUT", f"models/{name}/versions/1", {"modelUri": uri, "modelType": "mlflow_model"})
        assert answer.status_code in {200, 201}, answer.text
        return f"{SCOPE}/models/{name}/versions/1"
