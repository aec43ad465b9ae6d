"""Jobs over HTTP: submission, listing, cancelling and run history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.azure_ml import sweep
from emulator.azure_ml.errors import conflict, not_found, user_error
from emulator.azure_ml.listings import paged, viewed
from emulator.azure_ml.operations import with_result
from emulator.azure_ml.resources import ASSET_NAME, Resources, check_name, now_text, read_body, read_object
from emulator.azure_ml.runner import TASKS, Runner
from emulator.azure_ml.runs import FINISHED, Runs, new_record, run_properties
from emulator.azure_ml.shapes import JOBS, RunNotes, check_shape
from emulator.azure_ml.store import Body
from emulator.azure_ml.tables import Tables

STREAMED_LOG = "user_logs/std_log.txt"
"""The name by which the SDK knows the log that it streams."""
NOTES = ("tags", "description", "displayName", "isArchived")
"""What a later write of a job may change."""
HISTORY_NOTES = {"hidden": "isArchived", "displayName": "displayName", "description": "description"}
"""By the run history's name, what of a run's notes the management API calls how."""
CHANGING = frozenset({*NOTES, "properties", "services", "status"})
"""What is no part of what was submitted, where a job is written as it was shown."""


class Jobs:
    """Pages about jobs."""

    def __init__(self, resources: Resources, runs: Runs, runner: Runner, tables: Tables) -> None:
        """All of one workspace."""
        self._resources, self._runs, self._runner, self._tables = resources, runs, runner, tables
        self._store, self._config = resources.store, resources.config

    def routes(self) -> Sequence[Route]:
        """Routes of the workspace's jobs and of run history."""
        scope = self._config.scope
        history = f"/history/v1.0{scope}"
        return [
            Route(f"{scope}/jobs", self.listing, methods=["GET"]),
            Route(f"{scope}/jobs/{{name}}", self.show, methods=["GET"]),
            Route(f"{scope}/jobs/{{name}}", self.put, methods=["PUT"]),
            Route(f"{scope}/jobs/{{name}}/cancel", self.cancel, methods=["POST"]),
            Route(f"{history}/runs/{{name}}/children", self.children, methods=["GET"]),
            Route(f"{history}/runs/{{name}}/details", self.details, methods=["GET"]),
            Route(f"{history}/runs/{{name}}", self.history_run, methods=["GET"]),
            Route(f"{history}/experiments/{{experiment}}/runs/{{name}}", self.patch, methods=["PATCH"]),
        ]

    async def listing(self, request: Request) -> Response:
        """Jobs that were submitted, newest first; of a `jobType` or with a `tag` where one is asked for."""
        kind, tag = request.query_params.get("jobType"), request.query_params.get("tag")
        jobs = [(k, b) for k, b in reversed(self._store.list("jobs")) if b["internal"]["parent"] is None]
        shown = [self._shown(k, b) for k, b in viewed(request, jobs)]
        found = [j for j in shown if _is(j, kind, tag)]
        return paged(request, found, self._config.base_url)

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
        properties, internal = body["properties"], body["internal"]
        defaults: Body = {"description": None, "displayName": name, "isArchived": False, "outputs": {}}
        added = {
            "tags": {**(properties.get("tags") or {}), **internal["tags"]},
            "properties": {**run_properties(properties, internal["parent"]), **(properties.get("properties") or {})},
            "services": self._services(),
        }
        return self._resources.envelope(f"jobs/{name}", {**body, "properties": {**defaults, **properties, **added}})

    def _services(self) -> Body:
        tracking = f"{self._config.base_url.replace('https://', 'azureml://')}/mlflow/v1.0{self._config.scope}?"
        places = {"Tracking": tracking, "Studio": f"{self._config.base_url}/emulator/overview"}
        rest = {"port": None, "status": None, "errorMessage": None, "properties": None}
        return {kind: {"jobServiceType": kind, "endpoint": place, **rest} for kind, place in places.items()}

    async def put(self, request: Request) -> Response:
        """Submit a job, once: its name is its identity. What is written beside it changes later, as by archiving.

        Raises:
            AzureError: 409 where the name is another job's; 400 or 404 for what is wrong with it.
        """
        name, body = request.path_params["name"], await read_body(request)
        check_name(name, ASSET_NAME)
        with self._store.lock:
            old = self._runs.get(name)
            if old is not None:
                self._annotate(name, old, body["properties"])
                return JSONResponse(self._shown(name, self._record(name)))
            self._check(body["properties"])
            record = new_record(body)
            record["internal"]["submitted"] = body["properties"]
            self._store.put("jobs", name, record)
        self._runner.submit(name)
        return self._resources.created(request, self._shown(name, self._record(name)), new=True)

    def _annotate(self, name: str, old: Body, given: Body) -> None:
        submitted = old["internal"].get("submitted") or {}
        fixed = {k: v for k, v in submitted.items() if v is not None and k not in CHANGING}
        if any(_without_nulls(given.get(k)) != _without_nulls(v) for k, v in fixed.items()):
            raise conflict(f"A job with the name {name} exists and cannot be changed")
        notes = {k: given[k] for k in NOTES if given.get(k) is not None}
        self._store.put("jobs", name, {**old, "properties": {**old["properties"], **notes}, "modified": now_text()})

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
            if details["taskType"] not in TASKS:
                told = f"The local cloud does not train {details['taskType']}: of AutoML for images it knows"
                raise user_error(f"{told} {', '.join(TASKS)}")
            for role in ("trainingData", "validationData"):
                self._tables.asset(details[role]["uri"])
            sweep.trials(details, "check")
            sweep.early_termination(details)

    async def cancel(self, request: Request) -> Response:
        """Begin to cancel a job."""
        name = request.path_params["name"]
        if self._record(name)["properties"]["status"] in FINISHED:
            raise user_error(f"Job {name} is in a final state and cannot be canceled")
        headers = with_result(self._resources.begin(request, "jobs", name))
        del headers["Azure-AsyncOperation"]
        self._runner.cancels.ask(name)
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
        logs = {STREAMED_LOG: f"{self._config.base_url}/emulator/jobs/{name}/logs"}
        shown = {"runId": name, "target": "local", "status": self._runs.status(name), "error": error, "logFiles": logs}
        return JSONResponse(shown)

    def _history(self, name: str) -> Body:
        body = self._record(name)
        return {
            "runId": name,
            "rootRunId": name.partition("_HD")[0],
            "parentRunId": body["internal"]["parent"],
            "status": body["properties"]["status"],
            "displayName": body["properties"].get("displayName") or name,
            "description": body["properties"].get("description"),
            "hidden": bool(body["properties"].get("isArchived")),
            "tags": {**(body["properties"].get("tags") or {}), **body["internal"]["tags"]},
            "properties": run_properties(body["properties"], body["internal"]["parent"]),
            "runType": "azureml.HyperDrive" if body["internal"]["parent"] else "automl",
        }

    async def patch(self, request: Request) -> Response:
        """Run history: change what is noted of a run; `hidden` is what the management API calls archived."""
        name, given = request.path_params["name"], await read_object(request)
        check_shape(given, RunNotes, "body")
        notes = {shown: given[k] for k, shown in HISTORY_NOTES.items() if given.get(k) is not None}
        with self._store.lock:
            body = self._record(name)
            properties = {**body["properties"], **notes}
            self._store.put("jobs", name, {**body, "properties": properties, "modified": now_text()})
            self._runs.note(name, tags={**body["internal"]["tags"], **(given.get("tags") or {})})
        return JSONResponse(self._history(name))


def _is(job: Body, kind: str | None, tag: str | None) -> bool:
    """Whether a job is of a type and has a tag, `name` or `name=value`."""
    properties = job["properties"]
    name, given, value = (tag or "").partition("=")
    held = properties["tags"].get(name)
    fits = not tag or (held == value if given else held is not None)
    return fits and (not kind or properties.get("jobType") == kind)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value
