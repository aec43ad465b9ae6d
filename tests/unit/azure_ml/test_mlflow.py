from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.azure_ml.runs import experiment_id
from tests.support.azure_ml_app import App
from tests.support.azure_ml_process import SCOPE

BASE = f"/mlflow/v1.0{SCOPE}/api/2.0/mlflow"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A completed job of two trials, of which the second was best, and a job that has just begun."""
    from emulator.azure_ml.runs import new_record

    found = App(tmp_path)
    runs = found.emulator.runs
    for name in ("job", "later"):
        properties = {"jobType": "AutoML", "experimentName": "cats", "tags": {"loop": "cats"}}
        found.emulator.store.put("jobs", name, new_record({"properties": properties}))
    runs.add_child("job", "job_HD", {})
    for number, score in enumerate((0.25, 0.75)):
        trial = f"job_HD_{number}"
        runs.add_child("job_HD", trial, {"learning_rate": 0.1})
        for step in (1, 2):
            runs.add_metrics(trial, step, {"map": score * step / 2})
        runs.move(trial, "Completed")
    runs.note("job", tags={"automl_best_child_run_id": "job_HD_1"})
    for status in ("Running", "Completed"):
        runs.move("job", status)
    yield found
    found.close()


def search(app: App, text: str = "", **more: Any) -> list[str]:
    answer = app.ask("POST", f"{BASE}/runs/search", {"experiment_ids": [], "filter": text, **more})
    assert answer.status_code == 200, answer.text
    return [run["info"]["run_id"] for run in answer.json()["runs"]]


def tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def test_the_parent_names_its_best_child(app: App) -> None:
    run = app.ask("GET", f"{BASE}/runs/get?run_id=job").json()["run"]
    assert tags(run)["automl_best_child_run_id"] == "job_HD_1"
    assert run["info"]["status"] == "FINISHED"
    assert run["info"]["start_time"] <= run["info"]["end_time"]


def test_a_trial_has_its_metrics_parameters_and_kin(app: App) -> None:
    run = app.ask("GET", f"{BASE}/runs/get?run_id=job_HD_1").json()["run"]
    [metric] = run["data"]["metrics"]
    assert (metric["key"], metric["value"], metric["step"]) == ("map", 0.75, 2)
    assert run["data"]["params"] == [{"key": "learning_rate", "value": "0.1"}]
    assert (tags(run)["mlflow.parentRunId"], tags(run)["mlflow.rootRunId"]) == ("job_HD", "job")


def test_a_metric_epoch_by_epoch(app: App) -> None:
    found = app.ask("GET", f"{BASE}/metrics/get-history?run_id=job_HD_1&metric_key=map").json()["metrics"]
    assert [(m["step"], m["value"]) for m in found] == [(1, 0.375), (2, 0.75)]
    assert app.ask("GET", f"{BASE}/metrics/get-history?run_id=job_HD_1&metric_key=x").json()["metrics"] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["job_HD_1", "job_HD_0", "job_HD", "later", "job"]),
        ("tags.mlflow.parentRunId = 'job_HD'", ["job_HD_1", "job_HD_0"]),
        ("tags.`mlflow.rootRunId` = \"job\" and tags.mlflow.parentRunId != 'job'", ["job_HD_1", "job_HD_0"]),
        ("tags.loop='cats' AND attributes.status = 'FINISHED'", ["job"]),
        ("params.learning_rate = '0.2'", []),
        ("attribute.run_id = 'later'", ["later"]),
    ],
)
def test_runs_are_searched(app: App, text: str, found: list[str]) -> None:
    assert search(app, text) == found


def test_a_search_within_experiments_and_limits(app: App) -> None:
    assert search(app, experiment_ids=[experiment_id("dogs")]) == []
    assert search(app, experiment_ids=[experiment_id("cats")], max_results=1) == ["job_HD_1"]


@pytest.mark.parametrize(
    "body", [{"filter": "metrics.map > 0.5"}, {"filter": "x"}, {"max_results": "many"}, {"experiment_ids": 3}, [], None]
)
def test_a_search_that_cannot_be_read_is_refused(app: App, body: Any) -> None:
    assert app.ask("POST", f"{BASE}/runs/search", body).status_code == 400


@pytest.mark.parametrize("page", ["runs/get?run_id=x", "runs/get", "metrics/get-history?run_id=x&metric_key=map"])
def test_a_run_that_is_not_there(app: App, page: str) -> None:
    answer = app.ask("GET", f"{BASE}/{page}")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
