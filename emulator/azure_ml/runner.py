"""Runs submitted jobs one after another, each in a process of its own; what a restart interrupted runs again."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from emulator.azure_ml import sweep
from emulator.azure_ml.cancels import Cancels
from emulator.azure_ml.config import Config
from emulator.azure_ml.errors import AzureError, JobFailed
from emulator.azure_ml.faults import Faults, Rule
from emulator.azure_ml.processes import end_tree, end_tree_surely, wait_looking
from emulator.azure_ml.runs import CANCELING, FINISHED, Runs
from emulator.azure_ml.tables import Tables
from emulator.state_files import DISK_FULL, is_disk_full

log = logging.getLogger("azure_ml")
TASKS = {
    "ImageObjectDetection": ("object_detection", "mean_average_precision"),
    "ImageClassification": ("image_classification", "accuracy"),
    "ImageClassificationMultilabel": ("image_classification_multilabel", "iou"),
}
FEWEST_IMAGES = 10


class Runner:
    """A queue of jobs and the threads that work on it."""

    def __init__(self, config: Config, runs: Runs, tables: Tables, faults: Faults) -> None:
        """Nothing runs before `start`."""
        self._config, self._runs, self._tables, self._faults = config, runs, tables, faults
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._processes: dict[str, subprocess.Popen[Any]] = {}
        self._threads: list[threading.Thread] = []
        self.cancels = Cancels(runs, faults, self._cancel)
        self._stopping = False

    def start(self) -> None:
        """Start to work, first on what was interrupted; what was to be cancelled then is."""
        for name in self._runs.unfinished():
            if self._runs.status(name) == CANCELING:
                self._end(name, "Canceled", {})
            self._queue.put(name)
        for number in range(self._config.jobs_at_once):
            thread = threading.Thread(target=self._work, name=f"job-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End the processes, leaving their jobs unfinished for the next start."""
        self._stopping = True
        self.cancels.stop()
        for _ in self._threads:
            self._queue.put(None)
        for process in list(self._processes.values()):
            end_tree(process.pid)
        for thread in self._threads:
            thread.join(5)

    def submit(self, name: str) -> None:
        """Queue a job."""
        self._runs.move(name, "Queued")
        self._queue.put(name)

    def _cancel(self, name: str) -> None:
        self._end(name, "Canceled", {})
        process = self._processes.get(name)
        if process is not None:
            end_tree(process.pid)

    def _end(self, name: str, status: str, error: dict[str, str]) -> None:
        """End a job and what of its trials has not ended; the job last, as whoever waits for it looks at all."""
        for run in [*self._runs.children(f"{name}_HD"), f"{name}_HD", name]:
            self._runs.move(run, status, error)

    def folder(self, name: str) -> Path:
        """Where a job's files are."""
        return self._config.folder / "jobs" / name

    def _work(self) -> None:
        while (name := self._queue.get()) is not None:
            if self._stopping or self._runs.status(name) in FINISHED:
                continue
            try:
                self._run(name)
            except (JobFailed, AzureError) as error:
                told = error.error if isinstance(error, JobFailed) else {"code": "UserError", "message": error.message}
                self._fail(name, told)
            except Exception as error:
                log.exception("Job %s failed", name)
                said = DISK_FULL if is_disk_full(error) else "The local cloud failed; see its log"
                self._fail(name, {"code": "SystemError", "message": said})

    def _fail(self, name: str, error: dict[str, str]) -> None:
        if self._stopping:
            return
        log.warning("Job %s failed: %s", name, error["message"])
        try:
            self._end(name, "Failed", error)
        except sqlite3.Error:  # the next start runs it again; this thread has other jobs to do
            log.exception("It cannot be noted that job %s failed", name)

    def _run(self, name: str) -> None:
        body = self._runs.get(name) or {}
        if rule := self._faults.starvation(name):
            self._starve(name, str(body["properties"].get("computeId")).rpartition("/")[2], rule)
        if self._runs.status(name) in FINISHED:
            return
        if rule := self._faults.job_failure(name):
            raise JobFailed(rule.code, rule.message)
        self._runs.move(name, "Preparing")
        if body["properties"]["jobType"] == "Command":
            from emulator.azure_ml.command import run_command

            run_command(self, name, body)
            self._finish(name, {})
            return
        names = self._prepare(name, body["properties"]["taskDetails"])
        self._runs.move(name, "Running")
        self._runs.move(f"{name}_HD", "Running")
        if rule := self._faults.job_failure(name, "trials"):
            for trial in names:
                self._runs.move(trial, "Failed", JobFailed(rule.code, rule.message).error)
            self._end(name, "Completed", {})
            return
        self._finish(name, self._train(name, names))

    def _starve(self, name: str, compute: str, rule: Rule) -> None:
        """Leave the job in the queue; its cluster says why, and the job nothing, as in Azure."""
        self._runs.note_compute(compute, [{"error": {"code": rule.code, "message": rule.message}}])
        ends = time.monotonic() + rule.seconds
        while time.monotonic() < ends and not self._stopping and self._runs.status(name) not in FINISHED:
            time.sleep(0.05)
        self._runs.note_compute(compute, [])

    def _prepare(self, name: str, details: dict[str, Any]) -> list[str]:
        """Write job.json; returns the names of the trials."""
        if details["taskType"] not in TASKS:
            raise JobFailed("UserError", f"The local cloud does not train {details['taskType']}; Azure ML does")
        task, metric = TASKS[details["taskType"]]
        train, validation = (self._tables.rows(details[k]["uri"]) for k in ("trainingData", "validationData"))
        if (count := len(train) + len(validation)) < FEWEST_IMAGES:
            raise JobFailed("UserError", f"AutoML needs at least {FEWEST_IMAGES} images, found {count}")
        limits = details.get("limitSettings") or {}
        found = [
            {"name": f"{name}_HD_{number}", "hyperparameters": parameters}
            for number, parameters in enumerate(sweep.trials(details, name))
        ]
        job = {
            "job": name,
            "task": task,
            "primary_metric": metric,
            "trials": found,
            "train": train,
            "validation": validation,
            "early_termination": sweep.early_termination(details),
            "max_concurrent_trials": int(limits.get("maxConcurrentTrials") or 1),
            "timeout_seconds": sweep.duration_seconds(limits.get("timeout"), 6 * 3600),
            "trial_timeout_seconds": sweep.duration_seconds(limits.get("trialTimeout"), 3600),
            "feature_cache": str(self._config.folder / "features"),
            "seed": 0,
            "threads": os.cpu_count() or 1,
        }
        folder = self.folder(name)
        shutil.rmtree(folder / "trials", ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "job.json").write_text(json.dumps(job))
        self._runs.add_child(name, f"{name}_HD", {})
        for trial in found:
            parameters = cast("dict[str, Any]", trial["hyperparameters"])
            self._runs.add_child(f"{name}_HD", str(trial["name"]), parameters)
        return [str(trial["name"]) for trial in found]

    def _train(self, name: str, trials: list[str]) -> dict[str, Any]:
        """Run the trainer and follow what it says; returns its last word."""
        last: dict[str, Any] = {}
        with (self.folder(name) / "trainer.log").open("w") as out:
            command = [*self._config.training_command, str(self.folder(name))]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True)
        self._processes[name] = process
        try:
            if self._stopping or self._runs.status(name) in FINISHED:
                end_tree(process.pid)
            for line in process.stdout or ():
                last = self._heard(name, line) or last
            process.wait()
        finally:
            process.kill()
            process.wait()
            del self._processes[name]
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        if last.get("event") == "failed":
            raise JobFailed(last["error"]["code"], last["error"]["message"])
        if last.get("event") != "completed" and self._runs.status(name) not in FINISHED:
            raise JobFailed(
                "SystemError", f"The trainer ended with {process.returncode} after {len(trials)} trials began"
            )
        return last

    def follow(self, name: str, process: subprocess.Popen[Any], limit: str | None, look: Callable[[], None]) -> None:
        """Wait for a command's end; it is ended where its job is cancelled, or exceeds its limit (ISO 8601).

        Of the limit Azure ML's contract says that "the job will be cancelled"; the error's words are this cloud's own.
        """
        self._runs.move(name, "Running")
        self._processes[name] = process
        try:
            if self._stopping or self._runs.status(name) in FINISHED:
                end_tree(process.pid)
            wait_looking(process, sweep.duration_seconds(limit, 0) if limit else None, look)
        except subprocess.TimeoutExpired:
            self._end(name, "Canceled", {"code": "UserError", "message": f"The job exceeded its time limit of {limit}"})
            end_tree_surely(process)
        finally:
            del self._processes[name]

    def is_over(self, name: str) -> bool:
        """Whether a job has ended, cancelled while it ran for one."""
        return self._runs.status(name) in FINISHED

    def note_model(self, name: str, folder: Path) -> None:
        """Remember the model that a command wrote; it is its own best child."""
        self._runs.note(name, model=str(folder), tags={"automl_best_child_run_id": name})

    def note_metrics(self, name: str, metrics: dict[str, list[float]]) -> None:
        """Remember what a command reported of its model, by epoch."""
        self._runs.set_metrics(name, metrics)
        self._runs.note(name, final={key: values[-1] for key, values in metrics.items() if values})

    def table_rows(self, uri: str) -> list[dict[str, Any]]:
        """Rows of a table, each with its image as a local file."""
        return self._tables.rows(uri)

    def download_code(self, code: str, target: Path) -> None:
        """Download registered code by its resource id."""
        self._tables.download_code(code, target)

    def download_input(self, uri: str, target: Path) -> Path:
        """Download the folder or file of a data asset."""
        return self._tables.download_folder(self._tables.asset(uri), target)

    def _heard(self, job: str, line: str) -> dict[str, Any] | None:
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            return None
        trial = str(said.get("trial", ""))
        match said.get("event"):
            case "features":
                self._runs.note(job, features=[said["done"], said["total"]])
            case "trial_started":
                self._runs.move(trial, "Running")
            case "epoch":
                self._runs.add_metrics(trial, int(said["epoch"]), said["metrics"])
                self._runs.note(trial, epochs=[said["epoch"], said["epochs"]])
                if rule := self._faults.job_failure(job, "train"):
                    raise JobFailed(rule.code, rule.message)
            case "trial_completed":
                self._runs.note(trial, model=said.get("model"), final=said["metrics"])
                self._runs.move(trial, "Completed")
            case "trial_failed":
                self._runs.move(trial, "Failed", said.get("error"))
            case "completed" | "failed":
                return said
        return None

    def _finish(self, name: str, last: dict[str, Any]) -> None:
        """The tag of the best trial is there before the job is Completed."""
        if self._runs.status(name) in FINISHED:  # cancelled while its trials were being made
            self._end(name, "Canceled", {})
            return
        if best := str(last.get("best_trial") or ""):
            self._runs.note(name, tags={"automl_best_child_run_id": best, "model_explain_run": "best_run"})
            self._runs.note(name, final=last.get("metrics") or {})
        self._runs.move(f"{name}_HD", "Completed")
        self._runs.move(name, "Completed")
