"""One emulator for the module's tests, and the unchanged azure-ai-ml pointed at it by environment alone."""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from emulator.storage.installation import is_installed
from tests.support import schemas
from tests.support.azure_ml_process import (
    ACCOUNT_KEY,
    AZURITE,
    CONTAINERS,
    GROUP,
    ROOT,
    SUBSCRIPTION,
    WORKSPACE,
    AzureML,
    Topic,
    azurite,
    topic,
)

FAKES = ROOT / "tests" / "support"
ROWS = 12
TABLE = """\
type: mltable
paths:
  - file: ./annotations.jsonl
transformations:
  - read_json_lines: {encoding: utf8, invalid_lines: error, include_path_column: false}
  - convert_column_types:
      - columns: image_url
        column_type: stream_info
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("azure_ml")


@pytest.fixture(scope="session")
def account(folder: Path) -> Iterator[str]:
    if not is_installed(AZURITE):
        pytest.skip("Azurite is not installed: python3 dev.py test installs it")
    with azurite(folder) as url:
        _fill(url, folder / "certs" / "ca.pem")
        yield url


def _fill(url: str, authority: Path) -> None:
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient(url, ACCOUNT_KEY, connection_verify=str(authority)) as service:
        for container in CONTAINERS.values():
            service.create_container(container)
        lines = []
        for number in range(ROWS):
            image = io.BytesIO()
            Image.new("RGB", (32, 24), (number, 0, 0)).save(image, "JPEG")
            service.get_blob_client("data", f"cats/{number}.jpg").upload_blob(image.getvalue())
            lines.append(json.dumps(_line(number)))
        for name, data in (("MLTable", TABLE), ("annotations.jsonl", "\n".join(lines))):
            service.get_blob_client("system", f"cats/v1/{name}").upload_blob(data)
            service.get_blob_client("system", f"cats/v2/{name}").upload_blob(data)


def _line(number: int) -> dict[str, Any]:
    box = {"label": "cat", "topX": 0.1, "topY": 0.1, "bottomX": 0.9, "bottomY": 0.9, "isCrowd": 0}
    url = f"azureml://subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/workspaces/{WORKSPACE}"
    return {
        "image_url": f"{url}/datastores/data/paths/cats/{number}.jpg",
        "image_details": {"format": "jpeg", "width": 32, "height": 24},
        "label": [box],
    }


@pytest.fixture(scope="session")
def told() -> Iterator[Topic]:
    with topic() as found:
        yield found


@pytest.fixture(scope="session")
def emulator(folder: Path, account: str, told: Topic) -> Iterator[AzureML]:
    found = AzureML(
        folder,
        account,
        told,
        training_command=[sys.executable, str(FAKES / "fake_trainer.py")],
        serving_command=[sys.executable, str(FAKES / "fake_slot.py")],
    )
    before = dict(os.environ)
    os.environ.update(found.environment)
    os.environ.pop("AZUREML_CURRENT_CLOUD", None)
    found.start()
    try:
        yield found
    finally:
        found.stop()
        os.environ.clear()
        os.environ.update(before)
    _hold_against_schemas(found.capture)


def _hold_against_schemas(capture: Path) -> None:
    """Whatever the SDK sent in this session's tests, whichever those were."""
    seen = [json.loads(line) for line in capture.read_text().splitlines()] if capture.exists() else []
    assert all({"method", "path", "api_version", "body", "status"} <= set(request) for request in seen)
    if schemas.CHECKER.exists():  # the end-to-end test says so where it is missing
        schemas.check(capture)


@pytest.fixture(scope="session")
def client(emulator: AzureML) -> Any:
    """An MLClient made as production makes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    assert emulator.url
    options: dict[str, Any] = {"enable_telemetry": False, "show_progress": False, "retry_total": 0}
    return MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE, **options)


@pytest.fixture(scope="session")
def prepared(client: Any) -> None:
    """The data and compute that jobs need."""
    from azure.ai.ml.entities import AmlCompute, Data

    path = "azureml://datastores/system/paths/cats/v1/"
    client.data.create_or_update(Data(name="cats", version="1", type="mltable", path=path, mltable_schema_url=""))
    cluster = AmlCompute(name="gpu-cluster", size="Standard_NC4as_T4_v3", min_instances=0, max_instances=2)
    client.compute.begin_create_or_update(cluster).result(timeout=90)
