"""The real azure-ai-ml, unchanged, against the emulator: everything that the product asks of Azure ML, and more.

The tests about jobs and models build on one another, as a user's day does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.azure_ml_jobs import detection, mlflow_run, score, wait_for, wait_for_job, with_sweep
from tests.support.azure_ml_process import AzureML, Topic

# The warnings are azure-ai-ml's own deprecations.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("prepared")]


def test_the_workspace_tells_where_its_services_are(client: Any, emulator: AzureML) -> None:
    workspace = client.workspaces.get("visionloop")
    assert workspace.location
    assert workspace.discovery_url.startswith(emulator.url)
    assert workspace.mlflow_tracking_uri.startswith(emulator.url.replace("https://", "azureml://"))


def test_a_datastore_is_read_and_made(client: Any) -> None:
    from azure.ai.ml.entities import AccountKeyConfiguration, AzureBlobDatastore

    assert client.datastores.get("system").container_name == "system"
    assert client.datastores.get_default().name == "workspaceblobstore"
    made = AzureBlobDatastore(
        name="more",
        account_name="devstoreaccount1",
        container_name="data",
        credentials=AccountKeyConfiguration(account_key="a2V5"),
    )
    client.datastores.create_or_update(made)
    assert {"data", "system", "workspaceblobstore", "more"} <= {d.name for d in client.datastores.list()}


def test_a_data_asset_s_version_never_changes(client: Any) -> None:
    from azure.ai.ml.entities import Data
    from azure.core.exceptions import ResourceExistsError

    def asset(folder: str, **more: Any) -> Any:
        path = f"azureml://datastores/system/paths/cats/{folder}/"
        return Data(name="kept", version="1", type="mltable", path=path, mltable_schema_url="", **more)

    options = {"tags": {"content": "abc"}}
    client.data.create_or_update(asset("v1", **options))
    client.data.create_or_update(asset("v1", **options))
    with pytest.raises(ResourceExistsError):
        client.data.create_or_update(asset("v2"))
    found = client.data.get("kept", "1")
    assert (found.type, found.tags) == ("mltable", {"content": "abc"})
    assert found.path.rstrip("/").endswith("/paths/cats/v1")
    assert [d.version for d in client.data.list("kept")] == ["1"]
    assert client.data.get("kept", label="latest").version == "1"


def test_a_data_asset_is_uploaded_from_a_folder(client: Any, tmp_path: Path) -> None:
    from azure.ai.ml.entities import Data

    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a")
    made = client.data.create_or_update(Data(name="notes", type="uri_folder", path=str(tmp_path / "notes")))
    assert made.version == "1"
    assert "/datastores/workspaceblobstore/" in made.path
    again = client.data.create_or_update(Data(name="notes", type="uri_folder", path=str(tmp_path / "notes")))
    assert again.version in {"1", "2"}


def test_a_compute_is_made_and_read(client: Any) -> None:
    from azure.ai.ml.entities import AmlCompute
    from azure.core.exceptions import ResourceNotFoundError

    with pytest.raises(ResourceNotFoundError):
        client.compute.get("spot-cluster")
    size = "Standard_NC4as_T4_v3"
    cluster = AmlCompute(name="spot-cluster", size=size, min_instances=0, max_instances=2, tier="low_priority")
    client.compute.begin_create_or_update(cluster).result(timeout=90)
    found = client.compute.get("spot-cluster")
    assert (found.provisioning_state, found.min_instances, found.max_instances) == ("Succeeded", 0, 2)
    assert "spot-cluster" in {c.name for c in client.compute.list()}


def test_a_job_with_a_sweep_trains_and_names_its_best_trial(client: Any, emulator: AzureML, told: Topic) -> None:
    client.jobs.create_or_update(with_sweep(detection("sweep-1")))
    client.jobs.create_or_update(with_sweep(detection("sweep-1")))
    job = wait_for_job(client, "sweep-1")
    assert job.tags["loop"] == "cats"
    assert [c.name for c in client.jobs.list(parent_job_name="sweep-1")] == ["sweep-1_HD"]
    trials = sorted(c.name for c in client.jobs.list(parent_job_name="sweep-1_HD"))
    assert trials == ["sweep-1_HD_0", "sweep-1_HD_1", "sweep-1_HD_2"]
    assert client.jobs.get("sweep-1_HD_0").status == "Completed"
    best = mlflow_run(client, emulator, "sweep-1")["data"]
    tags = {t["key"]: t["value"] for t in best["tags"]}
    assert tags["automl_best_child_run_id"] in trials
    scores = {t: score(client, emulator, t) for t in trials}
    assert max(scores, key=lambda t: scores[t]) == tags["automl_best_child_run_id"]
    wait_for(lambda: {e["data"]["runId"] for e in told.of("RunCompleted")}, lambda found: {"sweep-1", *trials} <= found)


def test_metrics_are_kept_per_epoch(client: Any, emulator: AzureML) -> None:
    base = client.workspaces.get("visionloop").mlflow_tracking_uri.replace("azureml://", "https://")
    query = "run_id=sweep-1_HD_0&metric_key=mean_average_precision"
    bearer = {"authorization": f"Bearer {emulator.token()}"}
    status, body = emulator.request("GET", f"{base}/api/2.0/mlflow/metrics/get-history?{query}", headers=bearer)
    assert status == 200
    assert [m["step"] for m in body["metrics"]] == [1, 2, 3]
    values = [m["value"] for m in body["metrics"]]
    assert values == sorted(values)


def test_a_job_without_a_sweep_is_one_trial_with_its_advanced_settings(client: Any, emulator: AzureML) -> None:
    advanced = '{"flips": false}'
    parameters: dict[str, Any] = {"model_name": "yolov5", "number_of_epochs": 3, "advanced_settings": advanced}
    client.jobs.create_or_update(detection("single-1", **parameters))
    wait_for_job(client, "single-1")
    data = mlflow_run(client, emulator, "single-1_HD_0")["data"]
    params = {p["key"]: p["value"] for p in data["params"]}
    assert params["flips"].lower() == "false"
    assert params["model_name"] == "yolov5"


def test_what_a_job_may_not_be(client: Any) -> None:
    from azure.core.exceptions import HttpResponseError

    with pytest.raises(HttpResponseError) as found:
        client.jobs.create_or_update(with_sweep(detection("sweep-1", number_of_epochs=7)))
    assert found.value.status_code == 409
    lost = detection("lost-compute")
    lost.compute = "no-such-cluster"
    with pytest.raises(HttpResponseError) as found:
        client.jobs.create_or_update(lost)
    assert found.value.status_code in {400, 404}
    assert found.value.error is not None
    assert found.value.error.message


def test_a_job_that_fails_says_why(client: Any, emulator: AzureML, told: Topic) -> None:
    job = detection("failing-1", advanced_settings='{"fail": "The labels make no sense"}')
    client.jobs.create_or_update(job)
    wait_for_job(client, "failing-1", "Failed")
    details = client.jobs._runs_operations.get_run_details("failing-1")
    assert "The labels make no sense" in details.error.error.message
    changed = wait_for(
        lambda: [e for e in told.of("RunStatusChanged") if e["data"]["runId"] == "failing-1"],
        lambda found: any(e["data"]["runStatus"] == "Failed" for e in found),
    )
    assert changed
    assert not [e for e in told.of("RunCompleted") if e["data"]["runId"] == "failing-1"]


def test_a_running_job_is_canceled_and_the_next_one_runs(client: Any) -> None:
    client.jobs.create_or_update(detection("long-1", advanced_settings='{"pause": 30}'))
    wait_for_job(client, "long-1", "Running")
    client.jobs.create_or_update(detection("after-1"))
    assert client.jobs.get("after-1").status in {"Queued", "NotStarted"}
    client.jobs.begin_cancel("long-1").result(timeout=90)
    wait_for_job(client, "long-1", "Canceled")
    wait_for_job(client, "after-1")
    assert client.jobs.get("long-1").status == "Canceled"


def test_tags_of_a_finished_job_change(client: Any) -> None:
    job = client.jobs.get("sweep-1")
    job.tags = {**job.tags, "deployed": "yes"}
    client.jobs.create_or_update(job)
    assert client.jobs.get("sweep-1").tags["deployed"] == "yes"
    assert {"sweep-1", "single-1", "failing-1"} <= {j.name for j in client.jobs.list()}


def test_a_command_job_runs_uploaded_code(client: Any, emulator: AzureML, tmp_path: Path) -> None:
    from azure.ai.ml import command
    from azure.ai.ml.entities import Environment

    source = tmp_path / "src"
    source.mkdir()
    (source / "hello.py").write_text("import sys\nprint('hello', sys.argv[1])\nsys.exit(int(sys.argv[2]))\n")
    image = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest"
    environment = Environment(name="hello", version="1", image=image)
    for name, code in (("command-1", 0), ("command-2", 3)):
        job = command(
            name=name,
            code=str(source),
            command=f"python hello.py ${{{{inputs.whom}}}} {code}",
            inputs={"whom": "world"},
            environment=environment,
            compute="gpu-cluster",
            experiment_name="cats",
        )
        client.jobs.create_or_update(job)
    wait_for_job(client, "command-1")
    wait_for_job(client, "command-2", "Failed")


def test_a_model_is_registered_from_the_best_trial_once(client: Any, told: Topic) -> None:
    from azure.ai.ml.entities import Model
    from azure.core.exceptions import HttpResponseError

    def model(child: str) -> Any:
        path = f"azureml://jobs/{child}/outputs/artifacts/outputs/mlflow-model/"
        return Model(name="cats", version="1", type="mlflow_model", path=path, tags={"trial": child})

    client.models.create_or_update(model("sweep-1_HD_0"))
    with pytest.raises(HttpResponseError) as found:
        client.models.create_or_update(model("sweep-1_HD_1"))
    assert found.value.status_code == 409
    assert client.models.get("cats", version="1").tags == {"trial": "sweep-1_HD_0"}
    assert client.models.get("cats", label="latest").version == "1"
    assert [m.version for m in client.models.list("cats")] == ["1"]
    [event] = wait_for(lambda: [e for e in told.of("ModelRegistered") if e["data"]["ModelName"] == "cats"], bool)
    assert str(event["data"]["ModelVersion"]) == "1"


def test_what_is_archived_is_hidden_until_it_is_restored(client: Any) -> None:
    from azure.ai.ml.constants import ListViewType

    client.jobs.archive("single-1")
    assert "single-1" not in {j.name for j in client.jobs.list()}
    assert "single-1" in {j.name for j in client.jobs.list(list_view_type=ListViewType.ARCHIVED_ONLY)}
    client.jobs.restore("single-1")
    assert "single-1" in {j.name for j in client.jobs.list()}
    client.data.archive("kept", "1")
    assert [d.version for d in client.data.list("kept")] == []
    client.data.restore("kept", "1")
    assert [d.version for d in client.data.list("kept")] == ["1"]
    assert {"cats", "kept"} <= {d.name for d in client.data.list()}
    assert "cats" in {m.name for m in client.models.list()}


def test_long_lists_are_followed_to_their_end(client: Any) -> None:
    from azure.ai.ml.entities import Data

    path = "azureml://datastores/system/paths/cats/v1/"
    made = [
        Data(name="many", version=str(n), type="mltable", path=path, mltable_schema_url="")._to_rest_object()
        for n in range(35)
    ]
    for number, body in enumerate(made):
        client.data._operation.create_or_update("local", "visionloop", "many", str(number), body=body)
    assert [d.version for d in client.data.list("many")] == [str(n) for n in range(34, -1, -1)]


def test_what_is_not_there(client: Any) -> None:
    from azure.core.exceptions import ResourceNotFoundError

    for ask in (
        lambda: client.models.get("nope", version="1"),
        lambda: client.data.get("nope", version="1"),
        lambda: client.jobs.get("nope"),
        lambda: client.online_endpoints.get("nope"),
        lambda: client.datastores.get("nope"),
    ):
        with pytest.raises(ResourceNotFoundError):
            ask()
