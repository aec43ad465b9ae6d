"""What the product needs of an Azure ML workspace."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from services.cloud.ports.serving import DeploymentSpec, DeploymentView, EndpointView
from services.cloud.ports.training import (
    AutoMLJobSpec,
    BestChild,
    CommandJobSpec,
    ComputeSpec,
    JobView,
    TableAsset,
    Trial,
    TrialError,
)


class Workspace(Protocol):
    """Azure ML. Nothing here waits: what takes long is begun, and looked at again on a later wake.

    Every call is safe to repeat. All raise UpstreamBusy, UpstreamTimeout or Upstream where Azure fails.
    """

    def register_table(self, asset: TableAsset) -> None:
        """Register a data asset once; the same name and version with the same folder is already done.

        Raises:
            Conflict: the name and version exist with another folder.
        """
        ...

    def ensure_compute(self, spec: ComputeSpec) -> None:
        """Begin to create the cluster if it does not exist."""
        ...

    def compute_problem(self, spec: ComputeSpec) -> str:
        """What keeps the cluster from training, in a sentence; empty where it exists or can be created."""
        ...

    def compute_errors(self, name: str) -> Sequence[str]:
        """Why a cluster gets no machines, by its own words; empty where it has none, or is not there."""
        ...

    def has_table(self, name: str, version: str) -> bool:
        """Whether a data asset is registered."""
        ...

    def archive_table(self, name: str, version: str) -> None:
        """Archive a data asset, so that it is listed no more; one that is not there is left alone."""
        ...

    def job(self, name: str) -> JobView | None: ...

    def submit(self, spec: AutoMLJobSpec) -> None:
        """Submit the job under its name; a job of that name that exists is left alone."""
        ...

    def submit_command(self, spec: CommandJobSpec, code: Path) -> None:
        """The same for a script, whose files are uploaded from the folder `code`."""
        ...

    def cancel(self, job: str) -> None:
        """Begin to cancel a job; one that has ended, or is not there, is left alone."""
        ...

    def trial_errors(self, job: str) -> Sequence[TrialError]:
        """Why the first few trials that failed did; empty where it cannot be read."""
        ...

    def best_child(self, job: str) -> BestChild | None:
        """The best trial, by the MLflow tag `automl_best_child_run_id`; None where no trial succeeded.

        A script's job is its own, where it logged a model.
        """
        ...

    def trials(self, job: str, known: Collection[str] = ()) -> Sequence[Trial]:
        """The trials of a job so far, but for those whose names are `known`."""
        ...

    def register_model(self, name: str, version: str, child: str, tags: Mapping[str, str]) -> None:
        """Register the MLflow model of a trial once."""
        ...

    def endpoint(self, name: str) -> EndpointView | None: ...

    def begin_endpoint(self, name: str, tags: Mapping[str, str], cluster: str = "") -> None:
        """Begin to create a managed endpoint with identity authentication, or one on an attached Kubernetes cluster."""
        ...

    def deployment(self, endpoint: str, slot: str) -> DeploymentView | None: ...

    def begin_deployment(self, spec: DeploymentSpec) -> None: ...

    def begin_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        """Begin to set the traffic; `traffic` sums to 100, or to 0 where nothing is live.

        Raises:
            Conflict: a slot is unknown.
        """
        ...

    def begin_scale(self, endpoint: str, slot: str, instances: int) -> None:
        """Begin to give a slot so many machines; one that has them is left alone.

        Raises:
            NotFound: there is no such slot.
        """
        ...

    def begin_delete_deployment(self, endpoint: str, slot: str) -> None: ...
