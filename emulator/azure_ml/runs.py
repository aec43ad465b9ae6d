"""Jobs and their trials as records: how they are made, changed, and told to Event Grid."""

from __future__ import annotations

import time
import uuid
from typing import Any

from emulator.azure_ml.config import Config
from emulator.azure_ml.resources import now_text
from emulator.azure_ml.store import Body, Store

CANCELING = "CancelRequested"
FINISHED = frozenset({"Completed", "Failed", "Canceled"})


def new_record(body: Body, parent: str | None = None) -> Body:
    """A job's record: what is shown, and below `internal` what is not."""
    internal: Body = {"parent": parent, "error": {}, "metrics": {}, "params": {}, "tags": {}, "started": 0, "ended": 0}
    return {"properties": {**body["properties"], "status": "NotStarted"}, "created": now_text(), "internal": internal}


def _described(job_type: str, *, is_trial: bool) -> tuple[str, str]:
    """The runTemplate and runType that Azure ML's events carry."""
    if is_trial:
        return "automl_child", "azureml.HyperDrive"
    return ("", "azureml.scriptrun") if job_type == "Command" else ("AutoML", "automl")


def _follows(old: str, new: str) -> bool:
    """Whether a status may come after another: nothing after an end, and only an end after a wish to cancel."""
    return old not in FINISHED and old != new and (old != CANCELING or new in FINISHED)


def run_properties(properties: Body, parent: str | None) -> dict[str, str]:
    """What Azure ML notes of a run beside what was submitted, and tells in its events."""
    template, _ = _described(str(properties.get("jobType")), is_trial=parent is not None)
    return {"runTemplate": template} if template else {}


def experiment_id(name: object) -> str:
    """An experiment's id, which is not its name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(name)))


class Runs:
    """All jobs of the workspace. A trial is the job `<job>_HD_<n>`, its parent the sweep `<job>_HD`."""

    def __init__(self, config: Config, store: Store) -> None:
        """Records are kept in `store`, kind `jobs`."""
        self._config, self._store = config, store

    def get(self, name: str) -> Body | None:
        """A record."""
        return self._store.get("jobs", name)

    def children(self, name: str) -> list[str]:
        """Names of the runs directly below a job."""
        return [key for key, body in self._store.list("jobs", name) if body["internal"]["parent"] == name]

    def unfinished(self) -> list[str]:
        """Jobs that were submitted and have not ended, oldest first."""
        return [
            key
            for key, body in self._store.list("jobs")
            if body["internal"]["parent"] is None and body["properties"]["status"] not in FINISHED
        ]

    def status(self, name: str) -> str:
        """Azure ML's word for where the job is."""
        body = self.get(name)
        return str(body["properties"]["status"]) if body else "Canceled"

    def move(self, name: str, status: str, error: dict[str, str] | None = None) -> None:
        """Change a job's status, once to a final one, and tell of it."""
        with self._store.lock:
            self._move(name, status, error or {})

    def _move(self, name: str, status: str, error: dict[str, str]) -> None:
        body = self.get(name)
        if body is None or not _follows(body["properties"]["status"], status):
            return
        internal = body["internal"]
        if status == "Running":
            internal["started"] = internal["started"] or time.time()
        if status in FINISHED:
            internal["ended"] = time.time()
        internal["error"] = error
        body["properties"]["status"] = status
        self._store.put("jobs", name, body)
        self._tell(name, body, status)

    def add_child(self, parent: str, name: str, parameters: dict[str, Any]) -> None:
        """Make a trial's record, or begin it anew: a restart runs an interrupted job from its beginning."""
        top = self.get(parent) or {"properties": {}}
        properties = {
            "jobType": "Command",
            "command": "the trainer of the local cloud",
            "environmentId": f"{self._config.scope}/environments/local/versions/1",
            "displayName": name,
            "experimentName": top["properties"].get("experimentName", "Default"),
            "computeId": top["properties"].get("computeId"),
            "tags": {},
            "properties": {},
            "inputs": {},
            "outputs": {},
        }
        record = new_record({"properties": properties}, parent)
        record["internal"]["params"] = parameters
        self._store.put("jobs", name, record)

    def note(self, name: str, **fields: Any) -> None:
        """Change members of a record's `internal` part."""
        with self._store.lock:
            body = self.get(name)
            if body is not None:
                body["internal"].update(fields)
                self._store.put("jobs", name, body)

    def note_compute(self, name: str, errors: list[Body]) -> None:
        """What a cluster says of machines that it could not get."""
        with self._store.lock:
            body = self._store.get("computes", name)
            if body is not None:
                body["properties"].setdefault("properties", {})["errors"] = errors
                self._store.put("computes", name, body)

    def add_metrics(self, name: str, step: int, metrics: dict[str, float]) -> None:
        """Append one step's metrics to a run."""
        with self._store.lock:
            body = self.get(name) or {"internal": {"metrics": {}}}
            series = body["internal"]["metrics"]
            for key, value in metrics.items():
                series.setdefault(key, []).append([step, float(value), int(1000 * time.time())])
            self.note(name, metrics=series)

    def set_metrics(self, name: str, metrics: dict[str, list[float]]) -> None:
        """All steps' metrics of a run, in place of what is known."""
        now = int(1000 * time.time())
        self.note(name, metrics={k: [[step, v, now] for step, v in enumerate(vs)] for k, vs in metrics.items() if vs})

    def _tell(self, name: str, body: Body, status: str) -> None:
        """RunStatusChanged for every change, RunCompleted beside it for a success: of trials too, as Azure ML does."""
        kinds = ["RunStatusChanged", "RunCompleted"] if status == "Completed" else ["RunStatusChanged"]
        is_trial = body["internal"]["parent"] is not None
        _, kind_of_run = _described(str(body["properties"].get("jobType")), is_trial=is_trial)
        data: dict[str, Any] = {
            "experimentId": experiment_id(body["properties"].get("experimentName")),
            "experimentName": body["properties"].get("experimentName"),
            "runId": name,
            "runType": kind_of_run,
            "runTags": {**(body["properties"].get("tags") or {}), **body["internal"]["tags"]},
            "runProperties": run_properties(body["properties"], body["internal"]["parent"]),
        }
        for kind in kinds:
            shown = data if kind == "RunCompleted" else {**data, "runStatus": status}
            self.publish(kind, f"experiments/{data['experimentId']}/runs/{name}", shown)

    def publish(self, kind: str, subject: str, data: dict[str, Any]) -> None:
        """Remember an event of this workspace until Event Grid has it."""
        self._store.add_event(
            {
                "specversion": "1.0",
                "id": str(uuid.uuid4()),
                "source": self._config.scope,
                "type": f"Microsoft.MachineLearningServices.{kind}",
                "subject": subject,
                "time": now_text(),
                "data": data,
            }
        )
