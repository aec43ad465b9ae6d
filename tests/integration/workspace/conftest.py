"""The product's adapters, unchanged, in front of the Azure ML emulator: only the environment differs from production."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from emulator.storage.installation import is_installed
from services.cloud.ml import AzureWorkspace
from services.settings import Settings
from tests.support.azure_ml_process import (
    ACCOUNT_KEY,
    AZURITE,
    CONTAINERS,
    GROUP,
    ROOT,
    SUBSCRIPTION,
    WORKSPACE,
    AzureML,
    azurite,
    topic,
)
from tests.support.cloud_process import forget_cloud
from tests.support.stages import jsonl

IMAGES = [f"nuts/images/{number}.jpg" for number in range(12)]
LABEL = {"label": "cat", "topX": 0.1, "topY": 0.1, "bottomX": 0.9, "bottomY": 0.9, "isCrowd": 0}
FOLDER = "datasets/nuts/1-abc/"
TABLE = """\
type: mltable
paths: [{file: ./FILE}]
transformations:
  - read_json_lines: {encoding: utf8, invalid_lines: error, include_path_column: false}
  - convert_column_types:
      - {columns: image_url, column_type: stream_info}
"""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureML]:
    if not is_installed(AZURITE):
        pytest.skip("Azurite is not installed: python3 dev.py test installs it")
    folder = tmp_path_factory.mktemp("workspace")
    fakes = ROOT / "tests" / "support"
    with azurite(folder) as account, topic() as events, pytest.MonkeyPatch.context() as patch:
        _fill(account, folder / "certs" / "ca.pem")
        found = AzureML(
            folder,
            account,
            events,
            training_command=[sys.executable, str(fakes / "fake_trainer.py")],
            serving_command=[sys.executable, str(fakes / "fake_slot.py")],
        )
        for name, value in found.environment.items():
            patch.setenv(name, value)
        patch.delenv("AZUREML_CURRENT_CLOUD", raising=False)
        forget_cloud()
        found.start()
        try:
            yield found
        finally:
            found.stop()
            forget_cloud()


def image(number: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (100, 100), (number, 0, 0)).save(made, "JPEG")
    return made.getvalue()


def _fill(url: str, authority: Path) -> None:
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient(url, ACCOUNT_KEY, connection_verify=str(authority)) as service:
        for container in CONTAINERS.values():
            service.create_container(container)
        for number, name in enumerate(IMAGES):
            service.get_blob_client("data", name).upload_blob(image(number))
        for side in ("train", "validation"):
            file = f"{side}_annotations.jsonl"
            lines = jsonl([(name, [LABEL]) for name in IMAGES]).replace(b"datastores/d/", b"datastores/data/")
            service.get_blob_client("system", f"{FOLDER}{side}/{file}").upload_blob(lines)
            service.get_blob_client("system", f"{FOLDER}{side}/MLTable").upload_blob(TABLE.replace("FILE", file))


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(
        data_blob_uri="https://data.example",
        system_blob_uri="https://system.example",
        system_queue_uri="https://queue.example",
        subscription_id=SUBSCRIPTION,
        resource_group=GROUP,
        workspace=WORKSPACE,
        data_datastore="data",
        system_datastore="system",
        poll_seconds=0.2,
    )


@pytest.fixture(scope="module")
def workspace(emulator: AzureML, settings: Settings) -> AzureWorkspace:
    assert emulator.url
    return AzureWorkspace(settings)
