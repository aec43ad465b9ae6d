"""Runs by MLflow's REST API, which Azure ML serves below the workspace's tracking address: no MLflow library is needed.

https://learn.microsoft.com/azure/machine-learning/how-to-track-experiments-mlflow, https://mlflow.org/docs/latest/rest-api.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import urllib3

from services.cloud.http import pool
from services.cloud.identity import MANAGEMENT, token
from services.cloud.ml_jobs import KIND_TAG
from services.cloud.ports.training import Trial
from services.cloud.upstream import upstream_error
from services.errors import Upstream

SECONDS = 20.0
MOST_TRIALS = 200
MOST_METRICS = 12
"""Of a trial; the curve of each is a request."""
_STATUS = {"FINISHED": "completed", "FAILED": "failed", "KILLED": "canceled", "SCHEDULED": "waiting"}


def run(tracking_uri: str, run_id: str) -> dict[str, Any]:
    """A run: {"info": {…}, "data": {"tags": […], "metrics": […], "params": […]}}.

    Raises:
        NotFound: no such run; and Upstream's family.
    """
    what = f"Reading run {run_id}"
    found: dict[str, Any] = _member(_ask(tracking_uri, "GET", "runs/get", {"run_id": run_id}, what), "run", dict, what)
    return found


def trials(tracking_uri: str, job: str, known: Collection[str] = ()) -> list[Trial]:
    """The trials of a job with the curves of their metrics, but for those whose names are `known`.

    The job of a user's script is its own and only trial.

    Raises:
        Upstream: and its family.
    """
    what = f"Reading the trials of job {job}"
    top = run(tracking_uri, job)
    if _is_command(top):
        return [] if job in known else [_trial(tracking_uri, job, top)]
    experiment = top.get("info", {}).get("experiment_id")
    asked = {"filter": f"tags.mlflow.rootRunId = '{job}'", "max_results": MOST_TRIALS}
    body = asked | ({"experiment_ids": [experiment]} if experiment else {})
    found = _member(_ask(tracking_uri, "POST", "runs/search", body, what), "runs", list, what, [])
    names = ((str(each.get("info", {}).get("run_id", "")), each) for each in found if isinstance(each, dict))
    return [_trial(tracking_uri, name, each) for name, each in names if _is_trial(name, job) and name not in known]


def _is_command(found: dict[str, Any]) -> bool:
    return {"key": KIND_TAG, "value": "command"} in found.get("data", {}).get("tags", [])


def _is_trial(name: str, job: str) -> bool:
    """The sweep's own run is between the job and its trials."""
    return name not in (job, f"{job}_HD")


def _trial(tracking_uri: str, name: str, found: dict[str, Any]) -> Trial:
    data = found.get("data", {})
    parameters = {str(p.get("key")): str(p.get("value")) for p in data.get("params", [])}
    keys = [str(m["key"]) for m in data.get("metrics", []) if is_number(m.get("value"))][:MOST_METRICS]
    curves = {key: list(_curve(tracking_uri, name, key)) for key in keys}
    return Trial(name, _STATUS.get(str(found.get("info", {}).get("status")), "running"), parameters, curves)


def _curve(tracking_uri: str, name: str, key: str) -> Iterator[tuple[int, float]]:
    what = f"Reading {key} of run {name}"
    fields = {"run_id": name, "metric_key": key}
    for point in _member(_ask(tracking_uri, "GET", "metrics/get-history", fields, what), "metrics", list, what, []):
        if is_number(point.get("value")):
            yield int(point.get("step") or 0), float(point["value"])


def is_number(value: object) -> bool:
    """Whether a metric's value is a finite number; some are text, such as the path of a table."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _ask(tracking_uri: str, method: str, path: str, asked: Mapping[str, object], what: str) -> bytes:
    base = tracking_uri.partition("?")[0].replace("azureml://", "https://", 1).rstrip("/")
    url, headers = f"{base}/api/2.0/mlflow/{path}", {"Authorization": f"Bearer {token(MANAGEMENT)}"}
    sent: dict[str, Any] = {"fields": asked} if method == "GET" else {"json": asked}
    try:
        answer = pool().request(method, url, headers=headers, timeout=SECONDS, **sent)
    except urllib3.exceptions.HTTPError as error:
        raise Upstream(f"{what}: MLflow's API could not be reached: {type(error).__name__}") from error
    if answer.status != 200:
        raise upstream_error(answer.status, answer.headers, what)
    return answer.data


def _member(data: bytes, name: str, kind: type, what: str, default: object = None) -> Any:
    try:
        found = json.loads(data).get(name, default)
    except (ValueError, AttributeError):
        found = None
    if not isinstance(found, kind):
        raise Upstream(f"{what}: MLflow's API answered another shape")
    return found
