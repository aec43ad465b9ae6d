"""Compute, jobs and their trials."""
# ruff: noqa: SLF001 - see ml.py: the generated clients are private members of the public ones

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.cloud import tracking
from services.cloud.ml_base import WorkspaceBase, word
from services.cloud.ml_client import translated
from services.cloud.ml_compute import compute_errors, compute_problem
from services.cloud.ml_errors import job_error, trial_errors
from services.cloud.ml_jobs import KIND_TAG, automl_job, command_job
from services.cloud.ports.training import (
    AutoMLJobSpec,
    BestChild,
    CommandJobSpec,
    ComputeSpec,
    JobPhase,
    JobView,
    Trial,
    TrialError,
)
from services.errors import Conflict, NotFound, VisionloopError

BEST_CHILD_TAG = "automl_best_child_run_id"

_PHASES: dict[str, JobPhase] = {
    "NotStarted": "waiting",
    "Starting": "waiting",
    "Provisioning": "waiting",
    "Preparing": "waiting",
    "Queued": "waiting",
    "Paused": "waiting",
    "Completed": "completed",
    "Failed": "failed",
    "Canceled": "canceled",
}


class Training(WorkspaceBase):
    """What costs money: a job is submitted once under its name."""

    def ensure_compute(self, spec: ComputeSpec) -> None:
        """See `Workspace`."""
        from azure.core.exceptions import ResourceNotFoundError

        with translated(f"Looking for compute {spec.name}"):
            try:
                self._client.compute.get(spec.name)
            except ResourceNotFoundError:
                pass
            else:
                return
        with translated(f"Creating compute {spec.name}"):
            self._create_compute(spec)

    def _create_compute(self, spec: ComputeSpec) -> None:
        from azure.ai.ml.entities import AmlCompute

        cluster = AmlCompute(
            name=spec.name,
            size=spec.size,
            min_instances=0,
            max_instances=spec.max_nodes,
            idle_time_before_scale_down=spec.idle_seconds,
            location=self._location,
        )
        self._client.compute._operation.begin_create_or_update(
            self._settings.resource_group,
            self._settings.workspace,
            compute_name=spec.name,
            parameters=cluster._to_rest_object(),
            polling=False,
        )

    def compute_problem(self, spec: ComputeSpec) -> str:
        """See `Workspace`."""
        return compute_problem(self._client, spec)

    def compute_errors(self, name: str) -> Sequence[str]:
        """See `Workspace`."""
        return compute_errors(self._client, name)

    def job(self, name: str) -> JobView | None:
        """See `Workspace`."""
        try:
            with translated(f"Looking at job {name}"):
                job = self._client.jobs.get(name)
        except NotFound:
            return None
        status = word(job.status) or "Unknown"
        phase = _PHASES.get(status, "running")
        started, ended = self._times(name) if phase != "waiting" else (None, None)
        codes, error = job_error(self._client, name) if phase in ("failed", "canceled") else ((), "")
        return JobView(name, status, phase, error, started, ended, codes)

    def _times(self, name: str) -> tuple[datetime | None, datetime | None]:
        """When the job began and ended; a job is not less finished where MLflow's API does not say."""
        with suppress(VisionloopError):
            info = self._run(name).get("info", {})
            return _time(info.get("start_time")), _time(info.get("end_time"))
        return None, None

    def submit(self, spec: AutoMLJobSpec) -> None:
        """See `Workspace`."""
        self._submit(spec.name, lambda: automl_job(spec))

    def submit_command(self, spec: CommandJobSpec, code: Path) -> None:
        """See `Workspace`."""
        self._submit(spec.name, lambda: command_job(spec, code))

    def _submit(self, name: str, make: Callable[[], Any]) -> None:
        if self.job(name) is not None:
            return
        # somebody else's submission under this name is ours too
        with suppress(Conflict), translated(f"Submitting job {name}"):
            self._client.jobs.create_or_update(make(), skip_validation=True)

    def cancel(self, job: str) -> None:
        """See `Workspace`."""
        view = self.job(job)
        if view is None or view.phase not in ("waiting", "running"):
            return
        with suppress(NotFound), translated(f"Cancelling job {job}"):
            self._client.jobs.begin_cancel(job, polling=False)

    def trial_errors(self, job: str) -> Sequence[TrialError]:
        """See `Workspace`."""
        return trial_errors(self._client, job)

    def best_child(self, job: str) -> BestChild | None:
        """See `Workspace`."""
        tags = {t.get("key"): t.get("value") for t in self._run(job).get("data", {}).get("tags", [])}
        child = job if tags.get(KIND_TAG) == "command" else str(tags.get(BEST_CHILD_TAG) or "")
        if not child:
            return None
        metrics = self._run(child).get("data", {}).get("metrics", [])
        numbers = (m for m in metrics if tracking.is_number(m.get("value")))
        return BestChild(child, {str(m["key"]): float(m["value"]) for m in numbers})

    def _run(self, run_id: str) -> dict[str, Any]:
        with translated(f"Reading run {run_id}"):
            return tracking.run(str(self._workspace.mlflow_tracking_uri), run_id)

    def trials(self, job: str, known: Collection[str] = ()) -> list[Trial]:
        """See `Workspace`."""
        with translated(f"Reading the trials of job {job}"):
            return tracking.trials(str(self._workspace.mlflow_tracking_uri), job, known)


def _time(milliseconds: object) -> datetime | None:
    if not isinstance(milliseconds, int | float | str) or not str(milliseconds).isdecimal() or int(milliseconds) == 0:
        return None
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
