"""Jobs from submission to their end, with the fake trainer as a real process and blobs in memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from emulator.azure_ml import command
from emulator.azure_ml.faults import Rule
from tests.support.azure_ml_app import CLUSTER, App
from tests.support.azure_ml_jobs import wait_for
from tests.support.azure_ml_process import ROOT, SCOPE

TRAINER = [sys.executable, str(ROOT / "tests" / "support" / "fake_trainer.py")]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    found = made(tmp_path, TRAINER)
    yield found
    ended(found)


def made(folder: Path, trainer: list[str], jobs_at_once: int = 1) -> App:
    found = App(folder, training_command=trainer, jobs_at_once=jobs_at_once)
    found.store_data()
    assert found.arm("PUT", "computes/gpu-cluster", CLUSTER).status_code == 201
    found.emulator.runner.start()
    return found


def ended(app: App) -> None:
    app.emulator.runner.stop()
    app.close()


def submit(app: App, name: str, **advanced: Any) -> None:
    settings = {"advancedSettings": json.dumps(advanced)} if advanced else None
    answer = app.arm("PUT", f"jobs/{name}", app.job(modelSettings=settings))
    assert answer.status_code == 201, answer.text


def status(app: App, name: str, wanted: str) -> dict[str, Any]:
    wait_for(lambda: app.emulator.runs.status(name), lambda found: found == wanted)
    found: dict[str, Any] = (app.emulator.runs.get(name) or {})["internal"]
    return found


def test_a_job_trains_on_what_its_tables_name(app: App) -> None:
    submit(app, "fine")
    assert status(app, "fine", "Completed")["tags"]["automl_best_child_run_id"] == "fine_HD_0"
    job = json.loads((app.config.folder / "jobs" / "fine" / "job.json").read_text())
    assert (job["task"], job["primary_metric"]) == ("object_detection", "mean_average_precision")
    assert len(job["train"]) == len(job["validation"]) == 12
    assert Path(job["train"][3]["image"]).read_bytes() == b"image 3"


def test_a_job_fails_at_the_step_that_a_fault_names(app: App) -> None:
    app.emulator.faults.rules.append(Rule("fail_job", "^doomed$", step="train", message="The node was preempted"))
    submit(app, "doomed", pause=0.05)
    assert status(app, "doomed", "Failed")["error"]["message"] == "The node was preempted"
    [trial] = app.emulator.runs.children("doomed_HD")
    assert (app.emulator.runs.get(trial) or {})["internal"]["epochs"][0] == 1
    submit(app, "next")
    status(app, "next", "Completed")


def test_too_few_images(app: App) -> None:
    app.store_data("few", rows=4)
    app.arm("PUT", "jobs/few", app.job("few"))
    error = status(app, "few", "Failed")["error"]
    assert (error["code"], error["message"]) == ("UserError", "AutoML needs at least 10 images, found 8")


def test_a_missing_image_fails_the_job_with_its_place(app: App) -> None:
    del app.blobs["data"].held["cats/7.jpg"]
    submit(app, "lost")
    error = status(app, "lost", "Failed")["error"]
    said = "cats/lines.jsonl, line 8: cats/7.jpg does not exist in datastore data"
    assert (error["code"], error["message"]) == ("UserError", said)


def test_a_trainer_that_dies_without_a_word(tmp_path: Path) -> None:
    app = made(tmp_path, [sys.executable, "-c", "import sys; sys.exit(7)"])
    submit(app, "silent")
    error = status(app, "silent", "Failed")["error"]
    assert (error["code"], "ended with 7" in error["message"]) == ("SystemError", True)
    ended(app)


def test_a_trainer_that_cannot_be_started_fails_the_job_without_a_trace(tmp_path: Path) -> None:
    app = made(tmp_path, [str(tmp_path / "nothing")])
    submit(app, "odd")
    error = status(app, "odd", "Failed")["error"]
    assert error == {"code": "SystemError", "message": "The local cloud failed; see its log"}
    ended(app)


@pytest.mark.parametrize(("at_once", "second"), [(1, "Queued"), (2, "Running")])
def test_so_many_jobs_at_once(tmp_path: Path, at_once: int, second: str) -> None:
    app = made(tmp_path, TRAINER, at_once)
    before = set(psutil.Process().children(recursive=True))
    submit(app, "first", pause=30)
    status(app, "first", "Running")
    submit(app, "second", pause=30)
    status(app, "second", second)
    time.sleep(0.2)
    assert app.emulator.runs.status("second") == second
    for name in ("first", "second"):
        app.emulator.runner.cancels.ask(name)
    ended(app)
    assert app.emulator.runner._processes == {}
    assert set(psutil.Process().children(recursive=True)) <= before


def slow_to_cancel(app: App, name: str, seconds: float) -> None:
    app.emulator.faults.rules.append(Rule(kind="slow_cancel", path=name, seconds=seconds))
    assert app.arm("POST", f"jobs/{name}/cancel").status_code == 202


def test_a_job_that_is_slow_to_cancel_is_canceled_in_the_end(app: App) -> None:
    submit(app, "late", pause=30)
    status(app, "late", "Running")
    slow_to_cancel(app, "late", 0.05)
    status(app, "late", "Canceled")
    told = [e["data"]["runStatus"] for _, e in app.emulator.store.events() if e["data"].get("runId") == "late"]
    assert told == ["Queued", "Preparing", "Running", "CancelRequested", "Canceled"]


def test_a_wish_to_cancel_outlives_a_restart(tmp_path: Path) -> None:
    app = made(tmp_path, TRAINER)
    submit(app, "late", pause=30)
    status(app, "late", "Running")
    slow_to_cancel(app, "late", 3600)
    ended(app)
    again = App(tmp_path, training_command=TRAINER)
    again.emulator.runner.start()
    status(again, "late", "Canceled")
    ended(again)


def test_a_command_that_names_an_input_it_has_not(app: App) -> None:
    compute = f"{SCOPE}/computes/gpu-cluster"
    job = {"jobType": "Command", "computeId": compute, "command": "echo ${{inputs.nothing}}"}
    assert app.arm("PUT", "jobs/odd", job).status_code == 201
    error = status(app, "odd", "Failed")["error"]
    assert (error["code"], "nothing" in error["message"]) == ("UserError", True)


def test_a_command_that_outlived_a_power_cut_is_ended_before_it_runs_again(tmp_path: Path) -> None:
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    file = tmp_path / "command.process"
    command._remember(file, left.pid)
    command._end_left_over(file)
    left.wait(60)
    assert not psutil.pid_exists(left.pid)


@pytest.mark.parametrize("text", ["", "x y", "1 2 3", "999999999 1.0"])
def test_a_process_that_is_another_now_is_left_alone(tmp_path: Path, text: str) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    file = tmp_path / "command.process"
    file.write_text(text)
    command._end_left_over(file)
    file.write_text(f"{other.pid} 12.5")
    command._end_left_over(file)
    command._end_left_over(tmp_path / "nothing")
    assert other.poll() is None
    other.kill()
    other.wait()
