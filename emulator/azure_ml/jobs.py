"""Jobs over HTTP: submission, listing, cancelling, run history and MLflow's REST API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.azure_ml import sweep
from emulator.azure_ml.errors import conflict, not_found, user_error
from emulator.azure_ml.resources import ASSET_NAME, Resources, check_name, read_body
from emulator.azure_ml.runner import Runner
from emulator.azure_ml.runs import FINISHED, Runs, new_record
from emulator.azure_ml.shapes import JOBS, check_shape
from emulator.azure_ml.store import Body
from emulator.azure_ml.tables import Tables

_MLFLOW = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}


class Jobs:
    """Pages about jobs."""

    def __init__(self, resources: Resources, runs: Runs, runner: Runner, tables: Tables) -> None:
        """All of one workspace."""
        self._resources, self._runs, self._runner, self._tables = resources, runs, runner, tables
        self._store, self._config = resources.store, resources.config

    def routes(self) -> Sequence[Route]:
        """Routes of the workspace's jobs, of run history and of MLflow."""
        scope = self._config.scope
        history, mlflow = f"/history/v1.0{scope}", f"/mlflow/v1.0{scope}/api/2.0/mlflow"
        return [
            Route(f"{scope}/jobs", self.listing, methods=["GET"]),
            Route(f"{scope}/jobs/{{name}}", self.show, methods=["GET"]),
            Route(f"{scope}/jobs/{{name}}", self.put, methods=["PUT"]),
            Route(f"{scope}/jobs/{{name}}/cancel", self.cancel, methods=["POST"]),
            Route(f"{history}/runs/{{name}}/children", self.children, methods=["GET"]),
            Route(f"{history}/runs/{{name}}/details", self.details, methods=["GET"]),
            Route(f"{history}/runs/{{name}}", self.history_run, methods=["GET"]),
            Route(f"{history}/experiments/{{experiment}}/runs/{{name}}", self.patch, methods=["PATCH"]),
            Route(f"{mlflow}/runs/get", self.mlflow_run, methods=["GET"]),
            Route(f"{mlflow}/metrics/get-history", self.metric_history, methods=["GET"]),
        ]

    async def listing(self, _: Request) -> Response:
        """Jobs that were submitted, newest first."""
        found = [(k, b) for k, b in reversed(self._store.list("jobs")) if b["internal"]["parent"] is None]
        return JSONResponse({"value": [self._shown(k, b) for k, b in found]})

    async def show(self, request: Request) -> Response:
        """One job or trial."""
        name = request.path_params["name"]
        return JSONResponse(self._shown(name, self._record(name)))

    def _record(self, name: str) -> Body:
        found = self._runs.get(name)
        if found is None:
            raise not_found(f"Job {name}")
        return found

    def _shown(self, name: str, body: Body) -> Body:
        tags = {**(body["properties"].get("tags") or {}), **body["internal"]["tags"]}
        studio = f"{self._config.base_url}/emulator/overview"
        services = {"Studio": {"jobServiceType": "Studio", "endpoint": studio, "port": None}}
        properties = {**body["properties"], "tags": tags, "services": services}
        return self._resources.envelope(f"jobs/{name}", {**body, "properties": properties})

    async def put(self, request: Request) -> Response:
        """Submit a job, once: its name is its identity.

        Raises:
            AzureError: 409 where the name is another job's; 400 or 404 for what is wrong with it.
        """
        name, body = request.path_params["name"], await read_body(request)
        check_name(name, ASSET_NAME)
        with self._store.lock:
            old = self._runs.get(name)
            if old is not None:
                if old["internal"].get("submitted") != body["properties"]:
                    raise conflict(f"A job with the name {name} exists and cannot be changed")
                return JSONResponse(self._shown(name, old))
            self._check(body["properties"])
            record = new_record(body)
            record["internal"]["submitted"] = body["properties"]
            self._store.put("jobs", name, record)
        self._runner.submit(name)
        return JSONResponse(self._shown(name, self._record(name)), 201)

    def _check(self, properties: Body) -> None:
        kind = str(properties.get("jobType"))
        if kind not in JOBS:
            raise user_error(f"The local cloud runs AutoML and Command jobs, not {kind}")
        check_shape(properties, JOBS[kind])
        compute = properties["computeId"].rpartition("/")[2]
        if self._store.get("computes", compute) is None:
            raise user_error(f"Unknown compute target '{compute}'")
        if kind == "AutoML":
            details = properties["taskDetails"]
            if not str(details["taskType"]).startswith("Image"):
                raise user_error(f"The local cloud runs AutoML for images, not {details['taskType']}")
            for role in ("trainingData", "validationData"):
                self._tables.asset(details[role]["uri"])
            for limit in ("timeout", "trialTimeout"):
                sweep.duration_seconds((details.get("limitSettings") or {}).get(limit), 0)
            sweep.trials(details, "check")
            sweep.early_termination(details)

    async def cancel(self, request: Request) -> Response:
        """Begin to cancel a job."""
        name = request.path_params["name"]
        if self._record(name)["properties"]["status"] in FINISHED:
            raise user_error(f"Job {name} is in a final state and cannot be canceled")
        headers = self._resources.operation_headers("jobs", name, "Location")
        self._runner.cancel(name)
        return Response(status_code=202, headers=headers)

    async def children(self, request: Request) -> Response:
        """Run history: the runs below a job."""
        names = self._runs.children(request.path_params["name"])
        return JSONResponse({"value": [self._history(name) for name in names]})

    async def history_run(self, request: Request) -> Response:
        """Run history: one run."""
        return JSONResponse(self._history(request.path_params["name"]))

    async def details(self, request: Request) -> Response:
        """Run history: one run, with its error and log files."""
        name = request.path_params["name"]
        internal = self._record(name)["internal"]
        error = {"error": internal["error"]} if internal["error"] else None
        shown = {"runId": name, "target": "local", "status": self._runs.status(name), "error": error, "logFiles": {}}
        return JSONResponse(shown)

    def _history(self, name: str) -> Body:
        body = self._record(name)
        return {
            "runId": name,
            "rootRunId": name.partition("_HD")[0],
            "parentRunId": body["internal"]["parent"],
            "status": body["properties"]["status"],
            "displayName": name,
            "tags": {**(body["properties"].get("tags") or {}), **body["internal"]["tags"]},
            "properties": {},
            "runType": "azureml.HyperDrive" if body["internal"]["parent"] else "automl",
        }

    async def patch(self, request: Request) -> Response:
        """Run history: change a run's tags."""
        name, body = request.path_params["name"], self._record(request.path_params["name"])
        try:
            tags = dict(json.loads(await request.body()).get("tags") or {})
        except (ValueError, AttributeError):
            raise user_error("The body has no tags") from None
        self._runs.note(name, tags={**body["internal"]["tags"], **tags})
        return JSONResponse(self._history(name))

    async def mlflow_run(self, request: Request) -> Response:
        """https://mlflow.org/docs/latest/rest-api.html#get-run."""
        name = request.query_params.get("run_id", "")
        body = self._runs.get(name)
        if body is None:
            return JSONResponse({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Run {name} not found"}, 404)
        internal = body["internal"]
        info = {
            "run_id": name,
            "run_uuid": name,
            "experiment_id": body["properties"].get("experimentName"),
            "status": _MLFLOW.get(body["properties"]["status"], "RUNNING"),
            "start_time": _milliseconds(internal["started"]),
            "end_time": _milliseconds(internal["ended"]),
            "artifact_uri": f"azureml://jobs/{name}/outputs/artifacts",
            "lifecycle_stage": "active",
        }
        tags = {**(body["properties"].get("tags") or {}), **internal["tags"]}
        params = [{"key": k, "value": str(v)} for k, v in internal["params"].items()]
        data = {
            "metrics": _latest(internal),
            "params": params,
            "tags": [{"key": k, "value": v} for k, v in tags.items()],
        }
        return JSONResponse({"run": {"info": {k: v for k, v in info.items() if v is not None}, "data": data}})

    async def metric_history(self, request: Request) -> Response:
        """https://mlflow.org/docs/latest/rest-api.html#get-metric-history."""
        name, key = request.query_params.get("run_id", ""), request.query_params.get("metric_key", "")
        series = self._record(name)["internal"]["metrics"].get(key, [])
        return JSONResponse({"metrics": [{"key": key, "value": v, "step": s, "timestamp": t} for s, v, t in series]})


def _milliseconds(seconds: float) -> int | None:
    return int(1000 * seconds) if seconds else None


def _latest(internal: dict[str, Any]) -> list[dict[str, Any]]:
    """The last value of each metric, where the run's own last word does not say better."""
    found = {
        k: {"key": k, "value": s[-1][1], "step": s[-1][0], "timestamp": s[-1][2]}
        for k, s in internal["metrics"].items()
    }
    for key, value in (internal.get("final") or {}).items():
        found[key] = {"key": key, "value": float(value), "step": 0, "timestamp": 0}
    return list(found.values())
