"""What the SDK shows of a running job, and what cut connections, slow slots and busy ones do to it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest

from emulator.azure_ml.runs import experiment_id
from tests.support.azure_ml_jobs import detection, wait_for, wait_for_job, with_sweep
from tests.support.azure_ml_process import SCOPE, AzureML
from tests.support.fake_slot import HOLD

# The warnings are azure-ai-ml's own deprecations.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("prepared", "mended")]
IMAGE = {"input_data": {"columns": ["image"], "data": ["aGk="]}}


@pytest.fixture
def mended(emulator: AzureML) -> Iterator[None]:
    """Faults never outlive a test."""
    yield
    emulator.request("DELETE", "/emulator/faults")


def inject(emulator: AzureML, **rule: Any) -> None:
    status, answer = emulator.request("POST", "/emulator/faults", rule)
    assert status == 200, answer


class Watched(io.StringIO):
    """Makes a file once a word has been written."""

    def __init__(self, word: str, file: Path) -> None:
        super().__init__()
        self._word, self._file = word, file

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._word in self.getvalue():
            self._file.touch()
        return written


def test_the_sdk_streams_a_command_s_log(client: Any, tmp_path: Path) -> None:
    """What the command says is shown while it runs: it goes on only once somebody has seen its first word."""
    from azure.ai.ml import command
    from azure.ai.ml.entities import Environment

    image = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest"
    line = f"echo streamed-1; while [ ! -e '{tmp_path / 'seen'}' ]; do sleep 0.1; done; echo streamed-2"
    environment = Environment(name="hello", version="1", image=image)
    client.jobs.create_or_update(
        command(name="talking-1", command=line, environment=environment, compute="gpu-cluster")
    )
    shown = Watched("streamed-1", tmp_path / "seen")
    with redirect_stdout(shown):
        client.jobs.stream("talking-1")
    assert "streamed-1" in shown.getvalue()
    assert client.jobs.get("talking-1").status == "Completed"


def test_a_job_that_the_laptop_cannot_train_is_refused_at_once(client: Any) -> None:
    from azure.ai.ml import Input, automl
    from azure.core.exceptions import HttpResponseError

    table = Input(type="mltable", path="azureml:cats:1")
    job = automl.image_instance_segmentation(
        name="masks-1", compute="gpu-cluster", training_data=table, validation_data=table, target_column_name="label"
    )
    with pytest.raises(HttpResponseError, match="does not train ImageInstanceSegmentation") as found:
        client.jobs.create_or_update(job)
    assert found.value.status_code == 400


@pytest.mark.parametrize("kind", ["image_classification", "image_classification_multilabel"])
def test_classification_trains_too(client: Any, kind: str) -> None:
    from azure.ai.ml import Input, automl

    table = Input(type="mltable", path="azureml:cats:1")
    make = getattr(automl, kind)
    name = kind.replace("_", "-")
    job = make(name=name, compute="gpu-cluster", training_data=table, validation_data=table, target_column_name="label")
    job.set_limits(max_trials=1, timeout_minutes=60)
    client.jobs.create_or_update(job)
    wait_for_job(client, name)


def test_a_connection_is_cut_and_the_same_request_is_made_again(client: Any, emulator: AzureML) -> None:
    from azure.core.exceptions import AzureError

    inject(emulator, kind="reset", path="/jobs/unheard-1$", method="PUT")
    with pytest.raises(AzureError):
        client.jobs.create_or_update(detection("unheard-1"))
    assert emulator.arm("GET", "jobs/unheard-1")[0] == 404
    client.jobs.create_or_update(detection("unheard-1"))
    wait_for_job(client, "unheard-1")


def test_mlflow_finds_the_trials_of_a_sweep(client: Any, emulator: AzureML) -> None:
    client.jobs.create_or_update(with_sweep(detection("sought-1")))
    wait_for_job(client, "sought-1")
    bearer = {"authorization": f"Bearer {emulator.token()}"}
    asked = {"experiment_ids": [experiment_id("cats")], "filter": "tags.mlflow.parentRunId = 'sought-1_HD'"}
    status, body = emulator.request("POST", f"/mlflow/v1.0{SCOPE}/api/2.0/mlflow/runs/search", asked, bearer)
    assert status == 200
    assert {run["info"]["run_id"] for run in body["runs"]} == {f"sought-1_HD_{n}" for n in range(3)}


def test_a_model_is_archived(client: Any) -> None:
    from azure.ai.ml.entities import Model

    client.jobs.create_or_update(detection("archived-1"))
    wait_for_job(client, "archived-1")
    path = "azureml://jobs/archived-1_HD_0/outputs/artifacts/outputs/mlflow-model/"
    for version in ("1", "2"):
        client.models.create_or_update(Model(name="filed", version=version, type="mlflow_model", path=path))
    client.models.archive("filed", version="2")
    assert [m.version for m in client.models.list("filed")] == ["1"]
    client.models.restore("filed", version="2")
    assert client.models.get("filed", label="latest").version == "2"


@contextmanager
def held(emulator: AzureML) -> Iterator[None]:
    """No slot that starts meanwhile serves before the end of the block."""
    hold = emulator.folder / "azure_ml" / "slots" / HOLD
    hold.parent.mkdir(parents=True, exist_ok=True)
    hold.touch()
    try:
        yield
    finally:
        hold.unlink()


@pytest.fixture(scope="module")
def slot(client: Any, prepared: None, emulator: AzureML) -> Iterator[str]:
    """A deployment that was slow to come and answers two requests at once; yields its endpoint."""
    from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint, Model, OnlineRequestSettings

    assert prepared is None
    client.jobs.create_or_update(detection("busy-1"))
    wait_for_job(client, "busy-1")
    path = "azureml://jobs/busy-1_HD_0/outputs/artifacts/outputs/mlflow-model/"
    model = client.models.create_or_update(Model(name="busy", version="1", type="mlflow_model", path=path))
    endpoint = ManagedOnlineEndpoint(name="busy-endpoint", auth_mode="key")
    client.online_endpoints.begin_create_or_update(endpoint).result(timeout=90)
    inject(emulator, kind="slow_deployment", path="busy-endpoint/", seconds=1.5)
    deployment = ManagedOnlineDeployment(
        name="blue",
        endpoint_name="busy-endpoint",
        model=model.id,
        instance_type="Standard_DS3_v2",
        instance_count=1,
        request_settings=OnlineRequestSettings(max_concurrent_requests_per_instance=2, request_timeout_ms=20_000),
    )
    with held(emulator):
        going = client.online_deployments.begin_create_or_update(deployment)
        assert client.online_deployments.get("blue", "busy-endpoint").provisioning_state == "Creating"
    going.result(timeout=90)
    yield "busy-endpoint"
    client.online_endpoints.begin_delete("busy-endpoint").result(timeout=90)


def test_an_endpoint_with_keys_takes_both_and_no_other(client: Any, emulator: AzureML, slot: str) -> None:
    keys, uri = client.online_endpoints.get_keys(slot), client.online_endpoints.get(slot).scoring_uri
    for key, status in ((keys.primary_key, 200), (keys.secondary_key, 200), ("guessed", 401), ("", 401)):
        headers = {"authorization": f"Bearer {key}", "azureml-model-deployment": "blue"}
        assert emulator.request("POST", uri, IMAGE, headers)[0] == status


def test_a_wrong_request_is_the_model_s_error(client: Any, emulator: AzureML, slot: str) -> None:
    key, uri = client.online_endpoints.get_keys(slot).primary_key, client.online_endpoints.get(slot).scoring_uri
    headers = {"authorization": f"Bearer {key}", "azureml-model-deployment": "blue"}
    assert emulator.request("POST", uri, {"nonsense": 1}, headers)[0] == 424


def test_a_slot_takes_a_burst_within_its_limits(client: Any, emulator: AzureML, slot: str) -> None:
    key, uri = client.online_endpoints.get_keys(slot).primary_key, client.online_endpoints.get(slot).scoring_uri
    headers = {"authorization": f"Bearer {key}", "azureml-model-deployment": "blue"}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: emulator.request("POST", uri, IMAGE, headers)[0], range(24)))
    assert set(found) == {200}


def test_a_slot_that_was_killed_comes_back(client: Any, emulator: AzureML, slot: str) -> None:
    import psutil

    def is_slot(process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            return "--ready-file" in process.cmdline()
        return False

    assert emulator._process is not None
    [process] = filter(is_slot, psutil.Process(emulator._process.pid).children(recursive=True))
    key, uri = client.online_endpoints.get_keys(slot).primary_key, client.online_endpoints.get(slot).scoring_uri
    headers = {"authorization": f"Bearer {key}", "azureml-model-deployment": "blue"}
    with held(emulator):
        process.kill()
        process.wait(60)
        assert emulator.request("POST", uri, IMAGE, headers)[0] in {424, 503}
    wait_for(lambda: emulator.request("POST", uri, IMAGE, headers)[0], lambda status: status == 200)
