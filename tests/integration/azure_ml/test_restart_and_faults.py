"""What survives a power cut, and what the product has to survive: faults on purpose, seen through the real SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.azure_ml_jobs import detection, mlflow_run, score, wait_for, wait_for_job, with_sweep
from tests.support.azure_ml_process import SCOPE, AzureML, Topic

pytestmark = pytest.mark.filterwarnings("ignore")  # azure-ai-ml's own deprecations


@pytest.fixture(autouse=True)
def mended(prepared: None, emulator: AzureML) -> Iterator[None]:
    """Faults never outlive a test."""
    assert prepared is None
    yield
    emulator.request("DELETE", "/emulator/faults")


def inject(emulator: AzureML, **rule: Any) -> None:
    status, answer = emulator.request("POST", "/emulator/faults", rule)
    assert status == 200, answer


def overview(emulator: AzureML, job: str) -> dict[str, Any]:
    status, body = emulator.request("GET", "/emulator/overview")
    assert status == 200
    found: dict[str, Any] = next(j for j in body["jobs"] if j["name"] == job)
    return found


def test_a_job_that_a_power_cut_interrupted_is_run_again(
    client: Any, emulator: AzureML, folder: Path, tmp_path: Path
) -> None:
    """The first run waits in the midst of it; the second one, and nobody but it, finds what both wait for."""
    advanced = json.dumps({"until": str(tmp_path / "after the cut")})
    client.jobs.create_or_update(with_sweep(detection("cut-1", advanced_settings=advanced)))
    wait_for(lambda: overview(emulator, "cut-1"), lambda j: any(t["metrics"] for t in j["trials"]))
    client.jobs.create_or_update(detection("cut-2"))
    emulator.kill()
    (tmp_path / "after the cut").touch()
    emulator.start()
    wait_for_job(client, "cut-1")
    wait_for_job(client, "cut-2")
    starts = (folder / "azure_ml" / "jobs" / "cut-1" / "starts").read_text().splitlines()
    assert len(starts) == 2
    trials = overview(emulator, "cut-1")["trials"]
    assert len(trials) == 3
    assert all(len(t["history"]["mean_average_precision"]) == 3 for t in trials)
    tags = {t["key"]: t["value"] for t in mlflow_run(client, emulator, "cut-1")["data"]["tags"]}
    best = tags["automl_best_child_run_id"]
    assert score(client, emulator, best) == max(score(client, emulator, str(t["name"])) for t in trials)


def test_a_graceful_stop_leaves_the_job_to_the_next_start(client: Any, emulator: AzureML) -> None:
    client.jobs.create_or_update(detection("stopped-1", advanced_settings='{"pause": 0.3}'))
    wait_for_job(client, "stopped-1", "Running")
    emulator.stop()
    emulator.start()
    wait_for_job(client, "stopped-1")
    assert client.data.get("cats", "1").version == "1"


def test_the_overview_shows_epochs_and_metrics(client: Any, emulator: AzureML) -> None:
    client.jobs.create_or_update(with_sweep(detection("watched-1")))
    wait_for_job(client, "watched-1")
    job = overview(emulator, "watched-1")
    assert (job["status"], len(job["trials"])) == ("Completed", 3)
    assert job["best"] in {t["name"] for t in job["trials"]}
    assert all(t["epochs"] == [3, 3] for t in job["trials"])
    assert all(0.0001 <= t["parameters"]["learning_rate"] <= 0.01 for t in job["trials"])


def test_azure_is_busy_and_says_when_to_come_again(client: Any, emulator: AzureML) -> None:
    from azure.core.exceptions import HttpResponseError

    inject(emulator, kind="refuse", path="/computes/", method="GET", status=429, retry_after=7)
    with pytest.raises(HttpResponseError) as found:
        client.compute.get("gpu-cluster")
    assert found.value.status_code == 429
    response: Any = found.value.response
    assert response.headers["retry-after"] == "7"
    assert client.compute.get("gpu-cluster").name == "gpu-cluster"


def test_a_submission_that_was_answered_with_an_error_is_there_all_the_same(client: Any, emulator: AzureML) -> None:
    from azure.core.exceptions import HttpResponseError

    inject(emulator, kind="error_after_accept", path="/jobs/unlucky-1$", method="PUT", status=500)
    with pytest.raises(HttpResponseError):
        client.jobs.create_or_update(detection("unlucky-1"))
    client.jobs.create_or_update(detection("unlucky-1"))
    wait_for_job(client, "unlucky-1")


def test_a_job_fails_on_purpose(client: Any, emulator: AzureML) -> None:
    inject(emulator, kind="fail_job", path="^doomed-", message="The node was preempted")
    client.jobs.create_or_update(detection("doomed-1"))
    wait_for_job(client, "doomed-1", "Failed")
    assert overview(emulator, "doomed-1")["error"]["message"] == "The node was preempted"


def test_an_event_is_lost_on_purpose_and_no_other(client: Any, emulator: AzureML, told: Topic) -> None:
    inject(emulator, kind="drop_event", path="RunCompleted .*/runs/silent-1$")
    for name in ("silent-1", "loud-1"):
        client.jobs.create_or_update(detection(name))
        wait_for_job(client, name)
    done = wait_for(lambda: {e["data"]["runId"] for e in told.of("RunCompleted")}, lambda found: "loud-1" in found)
    assert "silent-1" not in done
    assert "silent-1_HD_0" in done


def test_events_wait_for_a_topic_that_is_away(client: Any, told: Topic) -> None:
    told.refuse = 2
    client.jobs.create_or_update(detection("patient-1"))
    wait_for_job(client, "patient-1")
    wait_for(lambda: {e["data"]["runId"] for e in told.of("RunCompleted")}, lambda found: "patient-1" in found)
    statuses = [e["data"]["runStatus"] for e in told.of("RunStatusChanged") if e["data"]["runId"] == "patient-1"]
    assert statuses == ["Queued", "Preparing", "Running", "Completed"]


def test_events_look_as_azure_s(client: Any, told: Topic) -> None:
    wait_for(lambda: told.of("RunCompleted"), bool)
    [event] = [e for e in told.of("RunCompleted") if e["data"]["runId"] == "patient-1"]
    assert event["specversion"] == "1.0"
    assert event["type"] == "Microsoft.MachineLearningServices.RunCompleted"
    assert event["source"] == SCOPE
    assert event["subject"] == f"experiments/{event['data']['experimentId']}/runs/patient-1"
    assert event["data"]["runTags"]["automl_best_child_run_id"] == "patient-1_HD_0"
    assert {"experimentName", "runType", "runProperties"} <= set(event["data"])


def test_a_client_without_a_token_learns_nothing(emulator: AzureML) -> None:
    for headers in (
        {},
        {"authorization": "Bearer x.y.z"},
        {"authorization": f"Bearer {emulator.token('https://vault.azure.net')}"},
    ):
        status, body = emulator.request("GET", f"{SCOPE}/jobs", headers=headers)
        assert status == 401
        assert set(body) == {"error"}


@pytest.mark.parametrize("path", ["nonsense", "jobs/a/b/c", "onlineEndpoints/a/unknown"])
def test_what_azure_has_not_is_refused_in_its_shape(emulator: AzureML, path: str) -> None:
    status, body = emulator.arm("GET", path)
    assert status == 404
    assert {"code", "message"} <= set(body["error"])


def test_a_body_that_is_no_json_is_refused(emulator: AzureML) -> None:
    bodies: list[Any] = [[], "text", {}, {"properties": 3}]
    for body in bodies:
        status, answer = emulator.arm("PUT", "data/cats/versions/7", body)
        assert (status, set(answer)) == (400, {"error"})
