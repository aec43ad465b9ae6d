"""What the local cloud gives a user's own training script, and takes from it; the script is a real process."""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from emulator.azure_ml import processes
from emulator.azure_ml.command import read_metrics
from emulator.azure_ml.errors import AzureError
from tests.support.azure_ml_app import CLUSTER, App
from tests.support.azure_ml_jobs import wait_for
from tests.support.azure_ml_process import SCOPE

SCRIPT = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
rows = [json.loads(line) for line in (folder / "annotations.jsonl").read_text().splitlines()]
print((folder / "MLTable").read_text())
images = {pathlib.Path(row["image_url"]).read_bytes() for row in rows}
out = pathlib.Path("outputs/mlflow-model")
out.mkdir(parents=True)
(out / "MLmodel").write_text("flavors: {}")
pathlib.Path("outputs/metrics.json").write_text(json.dumps({"images": len(images), "accuracy": [0.5, 0.75]}))
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    found = App(tmp_path, training_command=[sys.executable, "-c", ""], jobs_at_once=1)
    found.store_data()
    assert found.arm("PUT", "computes/gpu-cluster", CLUSTER).status_code == 201
    found.emulator.runner.start()
    yield found
    found.emulator.runner.stop()
    found.close()


def ended(app: App, name: str, script: str, **more: Any) -> dict[str, Any]:
    properties = {
        **more,
        "jobType": "Command",
        "command": f"python -c {shlex.quote(script)} ${{{{inputs.train}}}}",
        "computeId": f"{SCOPE}/computes/gpu-cluster",
        "environmentId": f"{SCOPE}/environments/e/versions/1",
        "experimentName": "cats",
        "inputs": {"train": {"uri": f"{SCOPE}/data/cats/versions/1", "jobInputType": "mltable"}},
    }
    answer = app.arm("PUT", f"jobs/{name}", properties)
    assert answer.status_code == 201, answer.text
    wait_for(lambda: app.emulator.runs.status(name), lambda found: found in {"Completed", "Failed", "Canceled"})
    return app.emulator.runs.get(name) or {}


def test_a_table_is_given_as_a_folder_whose_images_are_local_and_metrics_are_taken(app: App) -> None:
    found = ended(app, "own", SCRIPT)
    assert found["properties"]["status"] == "Completed", (app.config.folder / "jobs/own/user.log").read_text()
    assert found["internal"]["final"] == {"images": 12.0, "accuracy": 0.75}
    assert [point[:2] for point in found["internal"]["metrics"]["accuracy"]] == [[0, 0.5], [1, 0.75]]
    assert found["internal"]["tags"]["automl_best_child_run_id"] == "own"
    assert (Path(found["internal"]["model"]) / "MLmodel").exists()
    assert "read_json_lines" in (app.config.folder / "jobs/own/user.log").read_text()


def test_a_script_that_fails_has_no_model_even_where_it_wrote_one(app: App) -> None:
    found = ended(app, "broken", f"{SCRIPT}\nraise SystemExit('no memory')")
    assert (found["properties"]["status"], found["internal"]["error"]["code"]) == ("Failed", "UserError")
    assert "no memory" in found["internal"]["error"]["message"]
    assert "model" not in found["internal"]


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"accuracy": "high"}', '{"accuracy": true}', '{"accuracy": NaN}', "7", '{"accuracy": [[1]]}']
)
def test_metrics_that_are_no_numbers_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "metrics.json"
    assert read_metrics(file) == {}
    file.write_text(text)
    with pytest.raises(AzureError) as refused:
        read_metrics(file)
    assert "object of numbers" in refused.value.message


def test_metrics_are_read_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"accuracy": 1, "loss": [0.9, 0.5], "none": []}))
    assert read_metrics(tmp_path / "metrics.json") == {"accuracy": [1.0], "loss": [0.9, 0.5], "none": []}


STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("began", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("script", ["import time; time.sleep(60)", STUBBORN], ids=["polite", "stubborn"])
def test_a_script_that_exceeds_its_limit_is_cancelled_and_gone(
    app: App, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    before = set(psutil.Process().children(recursive=True))  # of other tests in this process
    limits = {"jobLimitsType": "Command", "timeout": "PT1S"}
    found = ended(app, "slow", script, limits=limits)
    assert found["properties"]["status"] == "Canceled"
    assert found["internal"]["error"] == {"code": "UserError", "message": "The job exceeded its time limit of PT1S"}
    assert "model" not in found["internal"]
    wait_for(lambda: set(psutil.Process().children(recursive=True)) - before, lambda left: not left)


def test_metrics_are_seen_while_the_script_runs(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.05)
    script = """
import pathlib, time
file = pathlib.Path("outputs/metrics.json")
file.write_text('{"accuracy": [0.5')
time.sleep(0.3)
file.write_text('{"accuracy": [0.5]}')
while not pathlib.Path("go").exists():
    time.sleep(0.02)
file.write_text('{"accuracy": [0.5, 0.75]}')
"""
    seen = threading.Thread(target=lambda: _go_on_once_seen(app, "live"))
    seen.start()
    found = ended(app, "live", script)
    seen.join()
    assert found["properties"]["status"] == "Completed", found["internal"]["error"]
    assert [point[1] for point in found["internal"]["metrics"]["accuracy"]] == [0.5, 0.75]


def _go_on_once_seen(app: App, name: str) -> None:
    def points() -> list[Any]:
        return list(((app.emulator.runs.get(name) or {}).get("internal") or {}).get("metrics", {}).get("accuracy", []))

    wait_for(points, lambda found: len(found) == 1, 60)
    (app.config.folder / "jobs" / name / "code" / "go").touch()


def test_a_limit_that_is_no_duration_is_refused(app: App) -> None:
    properties = {"jobType": "Command", "command": "true", "computeId": f"{SCOPE}/computes/gpu-cluster"}
    answer = app.arm("PUT", "jobs/odd", {**properties, "limits": {"jobLimitsType": "Command", "timeout": "soon"}})
    assert answer.status_code == 400
    assert "'soon' is not a duration" in answer.text
