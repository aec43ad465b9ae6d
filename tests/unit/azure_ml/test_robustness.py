"""No body whatever breaks the emulator, a refusal writes nothing, and the finer refusals."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.azure_ml_app import CLUSTER, App
from tests.support.azure_ml_process import SCOPE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    [
        "jobType",
        "taskDetails",
        "taskType",
        "traffic",
        "authMode",
        "model",
        "dataUri",
        "modelUri",
        "computeType",
        "properties",
        "limitSettings",
        "sweepSettings",
        "searchSpace",
        "requestSettings",
        "tags",
        "inputs",
        "scaleSettings",
        "command",
        "computeId",
        "containerName",
    ]
)
PATHS = [
    *("jobs/x", "data/x/versions/1", "models/x/versions/1", "codes/x/versions/1", "environments/x/versions/1"),
    *("computes/xy", "datastores/x", "onlineEndpoints/cats", "onlineEndpoints/cats/deployments/blue"),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    found = App(tmp_path_factory.mktemp("robustness"))
    found.store_data()
    assert found.arm("PUT", "computes/gpu-cluster", CLUSTER).status_code == 201
    assert found.arm("PUT", "onlineEndpoints/cats", {"authMode": "AADToken"}).status_code == 201
    yield found
    found.close()


def refused(app: App, path: str, properties: Any, status: int = 400, **rest: Any) -> str:
    answer = app.arm("PUT", path, properties, **rest)
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


@pytest.mark.parametrize("path", PATHS)
def test_no_properties_break_the_emulator(app: App, path: str) -> None:
    @settings(max_examples=30, deadline=None, database=None)
    @given(properties=st.dictionaries(KEYS, JSON, max_size=6))
    def put(properties: dict[str, Any]) -> None:
        assert app.arm("PUT", path, properties).status_code < 500

    put()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 5000, b'{"properties": {"x": NaN}}', b'{"properties": []}']
)
def test_what_is_no_resource(app: App, path: str, body: bytes) -> None:
    answer = app.ask("PUT", f"{SCOPE}/{path}", body)
    assert (answer.status_code, set(answer.json())) == (400, {"error"})


@given(changed=st.dictionaries(KEYS, JSON, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None, database=None)
def test_no_part_of_a_job_breaks_the_emulator(changed: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder))
        assert app.arm("PUT", "computes/gpu-cluster", CLUSTER).status_code == 201
        assert app.arm("PUT", "jobs/x", app.job(**changed)).status_code < 500
        app.close()


def test_a_refusal_writes_nothing(tmp_path: Path) -> None:
    app = App(tmp_path)
    before = list(app.emulator.store._db.iterdump())
    refused(app, "jobs/x", {"jobType": "AutoML"})
    refused(app, "computes/xy", {"computeType": "Kubernetes"})
    refused(app, "onlineEndpoints/cats", {"authMode": "No"})
    refused(app, "data/cats/versions/1", {"dataUri": "x", "dataType": "table"})
    assert list(app.emulator.store._db.iterdump()) == before
    app.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"taskType": "ImageInstanceSegmentation"}, "does not train ImageInstanceSegmentation"),
        ({"searchSpace": [{"learningRate": 3}]}, "properties.taskDetails.searchSpace.0.learningRate"),
        ({"sweepSettings": {"samplingAlgorithm": "Lucky"}}, "sweepSettings.samplingAlgorithm"),
        ({"limitSettings": {"trialTimeout": "P1Y"}}, "is not a duration"),
    ],
)
def test_jobs(app: App, change: dict[str, Any], said: str) -> None:
    assert said in refused(app, "jobs/bad", app.job(**change))
    assert app.arm("GET", "jobs/bad").status_code == 404


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("gpu_cluster", {}, "not valid"),
        ("g" * 33, {}, "not valid"),
        ("gpu", {"computeType": "Kubernetes"}, "properties.computeType"),
        ("gpu", {"properties": {"scaleSettings": {"maxNodeCount": 1, "minNodeCount": 2}}}, "minNodeCount is more"),
        ("gpu", {"properties": {"scaleSettings": {"maxNodeCount": -1}}}, "maxNodeCount"),
        (
            "gpu",
            {"properties": {"scaleSettings": {"maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "2 m"}}},
            "duration",
        ),
    ],
)
def test_computes(app: App, name: str, change: dict[str, Any], said: str) -> None:
    assert said in refused(app, f"computes/{name}", {**CLUSTER, **change})


def test_deployments(app: App) -> None:
    place, model = "onlineEndpoints/cats/deployments/blue", "azureml:cats:1"
    assert "duration" in refused(app, place, {"model": model, "requestSettings": {"requestTimeout": "90 s"}})
    assert "sku.capacity" in refused(app, place, {"model": model}, sku={"name": "Default", "capacity": 0})
    assert "traffic.blue" in refused(app, "onlineEndpoints/cats", {"authMode": "Key", "traffic": {"blue": 101}})


def test_an_archived_model_is_hidden_and_still_there(app: App) -> None:
    app.store_model("old")
    path, shown = "models/old/versions/1", app.arm("GET", "models/old/versions/1").json()["properties"]
    assert app.arm("PUT", path, {**shown, "isArchived": True}).status_code == 200
    assert app.arm("GET", "models/old/versions").status_code == 404
    assert app.arm("GET", path).json()["properties"]["isArchived"] is True
    assert app.arm("PUT", path, {**shown, "isArchived": False}).status_code == 200
    assert len(app.arm("GET", "models/old/versions").json()["value"]) == 1
