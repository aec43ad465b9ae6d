"""What Azure ML refuses, asked of the application without a process, a socket or storage."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.azure_ml.app import Emulator
from emulator.azure_ml.config import Config
from emulator.azure_ml.runs import new_record

ENDPOINT = {"location": "local", "identity": {"type": "SystemAssigned"}, "properties": {"authMode": "AADToken"}}
VERSION = "api-version=2024-01-01-preview"
DATASTORE = {"name": "system", "account_url": "https://127.0.0.1:1/account", "account_key": "a2V5", "container": "c"}


class World:
    def __init__(self, folder: Path) -> None:
        config = Config(folder, "https://localhost:1", "sub", "group", "ws", [DATASTORE], "secret")
        self.emulator = Emulator(config)
        self._app, self._scope = self.emulator.application(), config.scope
        self._token = self.emulator.identity.issue("https://management.azure.com", "secret")["access_token"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="https://localhost:1") as client:
                sent = {"authorization": f"Bearer {self._token}", **headers}
                return await client.request(method, path, json=body, headers=sent)

        return asyncio.run(send())

    def arm(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        query = f"{'&' if '?' in path else '?'}{VERSION}"
        answer = self.ask(method, f"{self._scope}/{path}{query}", body)
        return answer.status_code, answer.json() if answer.content else None

    def refused(self, method: str, path: str, body: Any, status: int) -> str:
        """The message of a refusal, after a look at its shape."""
        found, answer = self.arm(method, path, body)
        assert found == status, answer
        assert {"code", "message", "details", "additionalInfo"} <= set(answer["error"])
        return str(answer["error"]["message"])

    def with_trial(self) -> str:
        """A completed trial with a model; returns the model's address."""
        folder = self.emulator.config.folder / "mlflow-model"
        folder.mkdir()
        (folder / "MLmodel").write_text("flavors: {}")
        self.emulator.store.put("jobs", "job_HD_0", new_record({"properties": {}}, "job_HD"))
        self.emulator.runs.note("job_HD_0", model=str(folder))
        return "azureml://jobs/job_HD_0/outputs/artifacts/outputs/mlflow-model/"

    def with_slot(self, name: str, slot: str, state: str = "Succeeded") -> None:
        body = {"properties": {"model": "m", "provisioningState": state}, "internal": {}, "created": slot}
        self.emulator.store.put("deployments", f"{name}/deployments/{slot}", body)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.emulator.store.close()


def data(uri: str = "azureml://datastores/system/paths/v1/", **more: Any) -> dict[str, Any]:
    return {"properties": {"dataUri": uri, "dataType": "mltable", **more}}


def job(**details: Any) -> dict[str, Any]:
    table = {"uri": "azureml:cats:1", "jobInputType": "mltable"}
    task = {"taskType": "ImageObjectDetection", "trainingData": table, "validationData": table, **details}
    return {"properties": {"jobType": "AutoML", "computeId": "x/computes/gpu", "taskDetails": task}}


def ready_for_jobs(world: World) -> None:
    assert world.arm("PUT", "computes/gpu", {"properties": {"computeType": "AmlCompute"}})[0] == 201
    assert world.arm("PUT", "data/cats/versions/1", data())[0] == 201


def test_a_version_is_immutable_but_for_its_tags(world: World) -> None:
    assert world.arm("PUT", "data/cats/versions/1", data())[0] == 201
    assert world.arm("PUT", "data/cats/versions/1", data(tags={"a": "b"}))[0] == 200
    assert "exists" in world.refused("PUT", "data/cats/versions/1", data("azureml://datastores/system/paths/v2/"), 409)
    assert world.arm("GET", "data/cats/versions/1")[1]["properties"]["tags"] == {"a": "b"}


@pytest.mark.parametrize("name", ["-cats", "ca%20ts", "c" * 256, "%C3%A9"])
def test_asset_names(world: World, name: str) -> None:
    assert "name" in world.refused("PUT", f"data/{name}/versions/1", data(), 400)


@pytest.mark.parametrize("name", ["ab", "1gpu", "gpu_cluster", "gpu-cluster-1", "c" * 25])
def test_cluster_names(world: World, name: str) -> None:
    assert "name" in world.refused("PUT", f"computes/{name}", {"properties": {"computeType": "AmlCompute"}}, 400)


@pytest.mark.parametrize(
    "place", ["models/c.v2/versions/1", "data/c.v2/versions/1", "jobs/c.v2", "codes/c.v2/versions/1"]
)
def test_names_without_dots(world: World, place: str) -> None:
    body = {"properties": {"modelUri": world.with_trial(), "codeUri": "https://x/y/z", **data()["properties"]}}
    assert "name" in world.refused("PUT", place, body, 400)


def test_latest_and_next_version(world: World) -> None:
    for version in ("1", "2", "10"):
        world.arm("PUT", f"data/cats/versions/{version}", data())
    properties = world.arm("GET", "data/cats")[1]["properties"]
    assert (properties["latestVersion"], properties["nextVersion"]) == ("10", "11")
    assert [v["name"] for v in world.arm("GET", "data/cats/versions")[1]["value"]] == ["10", "2", "1"]


def test_a_job_is_submitted_once_and_never_changed(world: World) -> None:
    ready_for_jobs(world)
    assert world.arm("PUT", "jobs/job-1", job())[0] == 201
    assert world.arm("PUT", "jobs/job-1", job())[0] == 200
    assert "cannot be changed" in world.refused("PUT", "jobs/job-1", job(targetColumnName="other"), 409)
    assert world.arm("GET", "jobs/job-1")[1]["properties"]["status"] == "Queued"


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"taskType": "Forecasting"}, "images"),
        ({"trainingData": {}}, "trainingData"),
        ({"trainingData": {"uri": "azureml:dogs:1"}}, "dogs:1"),
        ({"searchSpace": [{"learningRate": "uniform(1)"}]}, "uniform"),
        ({"modelSettings": {"advancedSettings": "{"}}, "advancedSettings"),
        ({"limitSettings": {"maxTrials": 0}}, "limitSettings.maxTrials"),
        ({"limitSettings": {"maxTrials": 1001}}, "limitSettings.maxTrials"),
        ({"limitSettings": {"maxConcurrentTrials": 101}}, "limitSettings.maxConcurrentTrials"),
        (
            {
                "searchSpace": [{"learningRate": "loguniform(-6,-1)"}],
                "sweepSettings": {"samplingAlgorithm": "Bayesian"},
            },
            "not loguniform",
        ),
        ({"limitSettings": {"timeout": "1 hour"}}, "1 hour"),
        ({"sweepSettings": {"earlyTermination": {"policyType": "Luck"}}}, "policyType"),
        ({"searchSpace": {"learningRate": "choice(1)"}}, "searchSpace"),
    ],
)
def test_what_is_wrong_with_a_job_is_said_at_once(world: World, details: dict[str, Any], said: str) -> None:
    ready_for_jobs(world)
    status, answer = world.arm("PUT", "jobs/job-1", job(**details))
    assert status in {400, 404}
    assert said in answer["error"]["message"]
    assert world.arm("GET", "jobs/job-1")[0] == 404


def test_a_job_needs_a_compute_that_exists(world: World) -> None:
    world.arm("PUT", "data/cats/versions/1", data())
    assert "gpu" in world.refused("PUT", "jobs/job-1", job(), 400)


def test_a_finished_job_is_not_cancelled(world: World) -> None:
    ready_for_jobs(world)
    world.arm("PUT", "jobs/job-1", job())
    assert world.arm("POST", "jobs/job-1/cancel")[0] == 202
    assert world.refused("POST", "jobs/job-1/cancel", None, 400)
    assert world.refused("POST", "jobs/none/cancel", None, 404)


def test_a_model_comes_from_a_trial_that_wrote_one(world: World) -> None:
    def model(uri: str) -> dict[str, Any]:
        return {"properties": {"modelUri": uri, "modelType": "mlflow_model"}}

    uri = world.with_trial()
    assert world.arm("PUT", "models/cats/versions/1", model(uri))[0] == 201
    assert world.arm("PUT", "models/cats/versions/1", model(uri.rstrip("/")))[0] == 200
    assert world.refused("PUT", "models/cats/versions/2", model(uri.replace("_0", "_7")), 404)
    assert world.refused("PUT", "models/cats/versions/2", model("https://example.com/model"), 400)
    events = [e for _, e in world.emulator.store.events() if e["type"].endswith("ModelRegistered")]
    assert [e["data"]["ModelName"] for e in events] == ["cats"]
    assert world.arm("GET", "models/cats/versions/1")[1]["properties"]["flavors"]


@pytest.mark.parametrize("name", ["ab", "1cats", "cats_x", "c" * 33, "cats-"])
def test_endpoint_names(world: World, name: str) -> None:
    assert "name" in world.refused("PUT", f"onlineEndpoints/{name}", ENDPOINT, 400)


def with_traffic(**traffic: int) -> dict[str, Any]:
    return {**ENDPOINT, "properties": {"authMode": "AADToken", "traffic": traffic}}


def test_traffic_is_for_live_slots_and_sums_to_0_or_100(world: World) -> None:
    world.arm("PUT", "onlineEndpoints/cats", ENDPOINT)
    world.with_slot("cats", "blue")
    world.with_slot("cats", "green", "Creating")
    place = "onlineEndpoints/cats"
    assert "purple" in world.refused("PUT", place, with_traffic(purple=100), 400)
    assert "100" in world.refused("PUT", place, with_traffic(blue=90), 400)
    assert "provisioned" in world.refused("PUT", place, with_traffic(blue=50, green=50), 400)
    assert world.refused("PUT", place, with_traffic(blue=110, green=-10), 400)
    assert world.arm("PUT", place, with_traffic(blue=100))[0] == 200
    assert world.arm("PUT", place, with_traffic(blue=0))[0] == 200


def test_a_deployment_needs_endpoint_model_and_room(world: World) -> None:
    body = {"location": "local", "properties": {"model": "azureml:cats:1"}}
    assert "Endpoint" in world.refused("PUT", "onlineEndpoints/cats/deployments/blue", body, 404)
    world.arm("PUT", "onlineEndpoints/cats", ENDPOINT)
    assert "Model" in world.refused("PUT", "onlineEndpoints/cats/deployments/blue", body, 404)
    for number in range(20):
        world.with_slot("cats", f"slot-{number}")
    assert "20" in world.refused("PUT", "onlineEndpoints/cats/deployments/blue", body, 400)


def test_a_live_slot_is_not_deleted(world: World) -> None:
    world.arm("PUT", "onlineEndpoints/cats", ENDPOINT)
    world.with_slot("cats", "blue")
    world.arm("PUT", "onlineEndpoints/cats", with_traffic(blue=100))
    place = "onlineEndpoints/cats/deployments/blue"
    status, answer = world.arm("DELETE", place)
    assert status in {400, 409}
    assert "traffic" in answer["error"]["message"]
    world.arm("PUT", "onlineEndpoints/cats", with_traffic())
    assert world.arm("DELETE", place)[0] == 202
    assert world.arm("DELETE", place)[0] == 204
    assert world.arm("DELETE", "onlineEndpoints/cats")[0] == 202
    assert world.arm("DELETE", "onlineEndpoints/cats")[0] == 204


def test_scoring_without_a_key_a_slot_or_traffic(world: World) -> None:
    keyed = {**ENDPOINT, "properties": {"authMode": "Key"}}
    world.arm("PUT", "onlineEndpoints/cats", keyed)
    key = world.arm("POST", "onlineEndpoints/cats/listKeys")[1]["primaryKey"]
    assert world.ask("POST", "/online/cats/score", {}).status_code == 401
    bearer = {"authorization": f"Bearer {key}"}
    assert world.ask("POST", "/online/cats/score", {}, **bearer).status_code == 404
    chosen = {**bearer, "azureml-model-deployment": "blue"}
    assert world.ask("POST", "/online/cats/score", {}, **chosen).status_code == 404
    assert world.ask("POST", "/online/dogs/score", {}, **bearer).status_code == 404


def test_keys_are_not_shown_with_the_endpoint(world: World) -> None:
    world.arm("PUT", "onlineEndpoints/cats", ENDPOINT)
    key = world.arm("POST", "onlineEndpoints/cats/listKeys")[1]["primaryKey"]
    assert key not in str(world.arm("GET", "onlineEndpoints/cats"))
    assert DATASTORE["account_key"] not in str(world.arm("GET", "datastores"))


@pytest.mark.parametrize("body", [None, [], "x", 3, {}, {"properties": []}])
def test_bodies_that_are_no_resources(world: World, body: Any) -> None:
    for place in ("data/cats/versions/1", "jobs/job-1", "onlineEndpoints/cats", "computes/gpu"):
        assert world.refused("PUT", place, body, 400)


@pytest.mark.parametrize(
    ("place", "properties"),
    [
        ("jobs/j", {"jobType": "Sweep", "computeId": "x/gpu"}),
        ("jobs/j", {"jobType": "Command", "computeId": "x/gpu"}),
        ("jobs/j", {"jobType": "AutoML", "computeId": "x/gpu", "taskDetails": {"taskType": "ImageObjectDetection"}}),
        ("jobs/j", {"jobType": "AutoML", "computeId": 3, "taskDetails": {}}),
        ("onlineEndpoints/cats", {"authMode": "Key", "traffic": {"blue": "all"}}),
        ("onlineEndpoints/cats", {"authMode": "Password"}),
        ("onlineEndpoints/cats/deployments/blue", {"model": 3}),
        ("datastores/x", {"datastoreType": "AzureBlob"}),
        ("computes/x", {"properties": 3}),
        ("data/x/versions/1", {"dataUri": "x", "tags": ["a"]}),
    ],
)
def test_properties_that_cannot_be_read(world: World, place: str, properties: dict[str, Any]) -> None:
    assert world.refused("PUT", place, {"properties": properties}, 400)


def test_an_operation_that_nobody_began(world: World) -> None:
    path = "/subscriptions/sub/providers/Microsoft.MachineLearningServices/locations/local/mfeOperationsStatus/x"
    assert world.ask("GET", f"{path}?{VERSION}").status_code == 404


def test_operations_say_how_they_ended(world: World) -> None:
    world.with_slot("cats", "blue", "Creating")
    operations = world.emulator.resources.operations
    headers = operations.begin("deployments", "cats/deployments/blue", "2026-01-01T00:00:00Z", "2024-01-01-preview")
    place = headers["Azure-AsyncOperation"].removeprefix("https://localhost:1")
    assert world.ask("GET", place).json() == {
        "id": place.partition("?")[0],
        "name": place.partition("?")[0].rpartition("/")[2],
        "startTime": "2026-01-01T00:00:00Z",
        "percentComplete": 0.0,
        "status": "Updating",
    }
    world.with_slot("cats", "blue", "Failed")
    assert world.ask("GET", place).json()["status"] == "Failed"
    world.emulator.store.delete("deployments", "cats/deployments/blue")
    assert world.ask("GET", place).json()["status"] == "Succeeded"
    assert headers["x-ms-retry-after-ms"] == "20"
