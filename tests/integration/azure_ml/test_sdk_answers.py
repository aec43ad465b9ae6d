"""What the emulator answers, held against Microsoft's published types. Runs after the tests that fill the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.azure_ml_process import AzureML
from tests.support.published_types import Published

pytestmark = pytest.mark.filterwarnings("ignore")  # azure-ai-ml's own deprecations
VERSION = "2024-01-01-preview"


@pytest.fixture(scope="module")
def filled(client: Any, prepared: None, emulator: AzureML) -> Iterator[None]:
    """One resource of each kind; the slot's process ends with these tests."""
    from azure.ai.ml.entities import ManagedOnlineEndpoint, Model

    from tests.support.azure_ml_jobs import detection, wait_for_job, with_sweep

    client.jobs.create_or_update(with_sweep(detection("shown-1")))
    wait_for_job(client, "shown-1")
    path = "azureml://jobs/shown-1_HD_0/outputs/artifacts/outputs/mlflow-model/"
    model = client.models.create_or_update(Model(name="shown", version="1", type="mlflow_model", path=path))
    made = ManagedOnlineEndpoint(name="shown-endpoint", auth_mode="aad_token", tags={"loop": "cats"})
    client.online_endpoints.begin_create_or_update(made).result(timeout=90)
    properties = {"endpointComputeType": "Managed", "model": model.id, "instanceType": "Standard_DS3_v2"}
    body = {"location": "local", "sku": {"name": "Default", "capacity": 1}, "properties": properties}
    assert emulator.arm("PUT", "onlineEndpoints/shown-endpoint/deployments/blue", body)[0] == 201
    yield
    client.online_endpoints.begin_delete("shown-endpoint").result(timeout=90)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("computes", "computes/gpu-cluster"),
        ("datastores", "datastores/system"),
        ("data", "data/cats"),
        ("data/versions", "data/cats/versions/1"),
        ("jobs", "jobs/shown-1"),
        ("jobs", "jobs/shown-1_HD_0"),
        ("models", "models/shown"),
        ("models/versions", "models/shown/versions/1"),
        ("onlineEndpoints", "onlineEndpoints/shown-endpoint"),
        ("onlineEndpoints/deployments", "onlineEndpoints/shown-endpoint/deployments/blue"),
    ],
)
def test_an_answer_fits_microsoft_s_types(emulator: AzureML, kind: str, path: str) -> None:
    status, answer = emulator.arm("GET", path, version=VERSION)
    assert status == 200
    assert Published(VERSION).wrong(kind, answer) == []


def test_the_types_are_understood() -> None:
    published = Published(VERSION)
    wrong = published.wrong("onlineEndpoints", {"properties": {"authMode": 3, "colour": "red"}, "location": "x"})
    assert [w.replace(" ", ":").partition(":")[0] for w in wrong] == [
        ".name",
        ".properties.authMode",
        ".properties.colour",
    ]
