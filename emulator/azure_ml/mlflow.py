"""The part of MLflow's REST API by which the best trial and its metrics are found.

Contract: https://mlflow.org/docs/latest/rest-api.html; Azure ML serves it below the workspace's tracking address.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.azure_ml.config import Config
from emulator.azure_ml.errors import AzureError
from emulator.azure_ml.resources import read_object
from emulator.azure_ml.runs import Runs, experiment_id
from emulator.azure_ml.store import Body, Store

_STATUS = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
_TERM = re.compile(r"""\s*(tags|params|attributes?)\.[`"]?([\w.]+?)[`"]?\s*(!?=)\s*['"]([^'"]*)['"]\s*""")


class Mlflow:
    """Pages about runs as MLflow sees them."""

    def __init__(self, config: Config, store: Store, runs: Runs) -> None:
        """Runs are read, never changed."""
        self._config, self._store, self._runs = config, store, runs

    def routes(self) -> Sequence[Route]:
        """Routes below the workspace's tracking address."""
        base = f"/mlflow/v1.0{self._config.scope}/api/2.0/mlflow"
        return [
            Route(f"{base}/runs/get", self.run, methods=["GET"]),
            Route(f"{base}/runs/search", self.search, methods=["POST"]),
            Route(f"{base}/metrics/get-history", self.history, methods=["GET"]),
        ]

    async def run(self, request: Request) -> Response:
        """One run."""
        name = request.query_params.get("run_id", "")
        body = self._runs.get(name)
        return _missing(name) if body is None else JSONResponse({"run": _run(name, body)})

    async def search(self, request: Request) -> Response:
        """Runs that fit a filter of comparisons by `=` or `!=`, joined by `and`; newest first.

        Raises:
            AzureError: the body or the filter cannot be read.
        """
        asked = await read_object(request)
        terms = _terms(str(asked.get("filter") or ""))
        experiments, most = asked.get("experiment_ids") or [], asked.get("max_results", 1000)
        if not isinstance(experiments, list) or not isinstance(most, int):
            raise AzureError(400, "INVALID_PARAMETER_VALUE", "experiment_ids is a list, max_results a number")
        found = [_run(name, body) for name, body in reversed(self._store.list("jobs"))]
        fits = [r for r in found if _in(r, experiments) and all(_fits(r, *term) for term in terms)]
        return JSONResponse({"runs": fits[: max(0, most)]})

    async def history(self, request: Request) -> Response:
        """A metric of a run, epoch by epoch."""
        name, key = request.query_params.get("run_id", ""), request.query_params.get("metric_key", "")
        body = self._runs.get(name)
        if body is None:
            return _missing(name)
        series = body["internal"]["metrics"].get(key, [])
        return JSONResponse({"metrics": [{"key": key, "value": v, "step": s, "timestamp": t} for s, v, t in series]})


def _missing(name: str) -> Response:
    return JSONResponse({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Run {name} not found"}, 404)


def _run(name: str, body: Body) -> Body:
    internal = body["internal"]
    info = {
        "run_id": name,
        "run_uuid": name,
        "run_name": body["properties"].get("displayName") or name,
        "experiment_id": experiment_id(body["properties"].get("experimentName")),
        "status": _STATUS.get(body["properties"]["status"], "RUNNING"),
        "start_time": _milliseconds(internal["started"]),
        "end_time": _milliseconds(internal["ended"]),
        "artifact_uri": f"azureml://jobs/{name}/outputs/artifacts",
        "lifecycle_stage": "active",
    }
    data = {
        "metrics": latest_metrics(internal),
        "params": [{"key": k, "value": str(v)} for k, v in internal["params"].items()],
        "tags": [{"key": k, "value": v} for k, v in _tags(name, body).items()],
    }
    return {"info": {k: v for k, v in info.items() if v is not None}, "data": data}


def _tags(name: str, body: Body) -> dict[str, Any]:
    parent = body["internal"]["parent"]
    kin = {"mlflow.parentRunId": parent, "mlflow.rootRunId": name.partition("_HD")[0]} if parent else {}
    return {**kin, **(body["properties"].get("tags") or {}), **body["internal"]["tags"]}


def _milliseconds(seconds: float) -> int | None:
    return int(1000 * seconds) if seconds else None


def latest_metrics(internal: dict[str, Any]) -> list[dict[str, Any]]:
    """The last value of each metric, where the run's own last word does not say better."""
    found = {
        k: {"key": k, "value": s[-1][1], "step": s[-1][0], "timestamp": s[-1][2]}
        for k, s in internal["metrics"].items()
    }
    for key, value in (internal.get("final") or {}).items():
        found[key] = {"key": key, "value": float(value), "step": 0, "timestamp": 0}
    return list(found.values())


def _terms(text: str) -> list[tuple[str, str, bool, str]]:
    """What a filter asks of a run: where, key, whether equal, value."""
    if not text.strip():
        return []
    found = [(part, _TERM.fullmatch(part)) for part in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE)]
    if unread := [part for part, match in found if match is None]:
        raise AzureError(400, "INVALID_PARAMETER_VALUE", f"The local cloud cannot read the filter {unread[0]!r}")
    return [(m[1].removesuffix("s"), m[2], m[3] == "=", m[4]) for _, m in found if m is not None]


def _in(run: Body, experiments: list[str]) -> bool:
    return not experiments or run["info"].get("experiment_id") in experiments


def _fits(run: Body, where: str, key: str, equal: bool, value: str) -> bool:
    if where == "attribute":
        held = run["info"].get(key)
    else:
        held = next((entry["value"] for entry in run["data"][f"{where}s"] if entry["key"] == key), None)
    return (held == value) is equal
