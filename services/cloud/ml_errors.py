"""Reads why jobs and their trials failed: what Azure ML's studio shows, of its run history."""
# ruff: noqa: SLF001 - the run history's client is a private member of azure-ai-ml's public one

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from services.cloud.ml_client import translated
from services.cloud.ports.training import TrialError
from services.cloud.upstream import clean
from services.errors import VisionloopError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

MOST_TRIALS = 3
"""Of so many failed trials the error is read: more than the first tell the same."""
MOST_NESTED = 6


def job_error(client: MLClient, name: str) -> tuple[tuple[str, ...], str]:
    """Codes from the outside in, and the message; empty where they cannot be read: a job is not less failed then."""
    with suppress(VisionloopError), translated(f"Reading why job {name} failed"):
        details = client.jobs._runs_operations.get_run_details(name)
        error = getattr(details.error, "error", None)
        return tuple(_codes(error)), clean(str(getattr(error, "message", "") or ""))
    return (), ""


def _codes(error: Any) -> Iterator[str]:
    for _ in range(MOST_NESTED):
        if error is None:
            return
        if error.code:
            yield clean(str(error.code))
        error = error.inner_error


def trial_errors(client: MLClient, job: str) -> list[TrialError]:
    """Why the first failed trials did; of a sweep the trials are below the run `<job>_HD`."""
    with suppress(VisionloopError), translated(f"Reading the trials of job {job}"):
        failed = (trial for trial in _trials(client, job) if trial.status == "Failed")
        return [TrialError(t.name, *job_error(client, t.name)) for t in islice(failed, MOST_TRIALS)]
    return []


def _trials(client: MLClient, job: str) -> Iterator[Any]:
    for child in client.jobs._runs_operations.get_run_children(job):
        if child is None or child.name is None:
            continue  # the SDK's word for a kind of run that it does not know
        if child.name.endswith("_HD"):
            yield from (t for t in client.jobs._runs_operations.get_run_children(child.name) if t is not None)
        else:
            yield child
