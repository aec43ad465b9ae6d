"""The `Workspace` port over azure-ai-ml.

Nothing waits here: operations that take long are begun through the SDK's generated clients with `polling=False`, as
the public `begin_…` methods each start a thread that polls for as long as the operation takes.
Known ways of azure-ai-ml 1.35.2 that are met here: an endpoint's update sends its whole traffic, so it is read first;
registering an MLTable would read the blob and fetch a schema from the internet; models and data are immutable.
"""
# ruff: noqa: SLF001 - see above: the generated clients are private members of the public ones

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cloud import tracking
from services.cloud.endpoint_token import with_tokens
from services.cloud.ml_client import build_client, translated
from services.cloud.ml_compute import compute_errors, compute_problem
from services.cloud.ml_errors import job_error, trial_errors
from services.cloud.ml_jobs import KIND_TAG, automl_job, command_job
from services.cloud.ml_online import online_deployment, online_endpoint
from services.cloud.ports import (
    AutoMLJobSpec,
    BestChild,
    CommandJobSpec,
    ComputeSpec,
    DeploymentSpec,
    DeploymentView,
    EndpointView,
    JobPhase,
    JobView,
    Provisioning,
    TableAsset,
    Trial,
    TrialError,
)
from services.cloud.upstream import clean
from services.errors import Conflict, NotFound, UpstreamBusy, VisionloopError
from services.settings import Settings

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

BEST_CHILD_TAG = "automl_best_child_run_id"
TRIAL_TAG = "visionloop_trial"

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
_STATES: dict[str, Provisioning] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
    "deleting": "deleting",
}


class AzureWorkspace:
    """One workspace, by the app's identity; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is imported or called before the first use."""
        self._settings = settings
        self._lock = threading.Lock()
        self._built: MLClient | None = None

    @property
    def _client(self) -> MLClient:
        with self._lock:
            if self._built is None:
                self._built = build_client(self._settings)
            return self._built

    @cached_property
    def _workspace(self) -> Any:
        return self._client.workspaces.get(self._settings.workspace)

    @property
    def _location(self) -> str:
        return str(self._workspace.location)

    @property
    def _scope(self) -> dict[str, str]:
        return {"resource_group_name": self._settings.resource_group, "workspace_name": self._settings.workspace}

    @property
    def _workspace_id(self) -> str:
        settings = self._settings
        return (
            f"/subscriptions/{settings.subscription_id}/resourceGroups/{settings.resource_group}/providers"
            f"/Microsoft.MachineLearningServices/workspaces/{settings.workspace}"
        )

    def _arm_id(self, kind: str, name: str, version: str) -> str:
        return f"{self._workspace_id}/{kind}/{name}/versions/{version}"

    def register_table(self, asset: TableAsset) -> None:
        """See `Workspace`."""
        what = f"Registering data asset {asset.name}:{asset.version}"
        path = f"azureml://datastores/{self._settings.system_datastore}/paths/{asset.folder.strip('/')}/"
        try:
            with translated(what):
                self._put_table(asset, path)
        except Conflict:
            with translated(what):
                existing = str(self._client.data.get(asset.name, asset.version).path)
            if _folder(existing) != _folder(path):
                raise Conflict(f"{what}: it exists with another folder") from None

    def _put_table(self, asset: TableAsset, path: str) -> None:
        from azure.ai.ml.entities import Data

        data: Any = Data(
            name=asset.name,
            version=asset.version,
            type="mltable",
            path=path,
            description=asset.description or None,
            tags=dict(asset.tags),
        )
        operations = self._client.data
        operations._operation.create_or_update(
            name=asset.name,
            version=asset.version,
            body=data._to_rest_object(),
            **self._scope,
        )

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

    def has_table(self, name: str, version: str) -> bool:
        """See `Workspace`."""
        try:
            with translated(f"Looking for data asset {name}:{version}"):
                self._client.data.get(name, version)
        except NotFound:
            return False
        return True

    def archive_table(self, name: str, version: str) -> None:
        """See `Workspace`."""
        with suppress(NotFound), translated(f"Archiving data asset {name}:{version}"):
            self._client.data.archive(name, version)

    def job(self, name: str) -> JobView | None:
        """See `Workspace`."""
        try:
            with translated(f"Looking at job {name}"):
                job = self._client.jobs.get(name)
        except NotFound:
            return None
        status = _word(job.status) or "Unknown"
        phase = _PHASES.get(status, "running")
        started, ended = self._times(name) if phase != "waiting" else (None, None)
        codes, error = job_error(self._client, name) if phase in ("failed", "canceled") else ((), "")
        studio = (job.services or {}).get("Studio")
        return JobView(name, status, phase, error, str(getattr(studio, "endpoint", "") or ""), started, ended, codes)

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

    def register_model(self, name: str, version: str, child: str, tags: Mapping[str, str]) -> None:
        """See `Workspace`.

        Raises:
            Conflict: the name and version exist from another trial.
        """
        what = f"Registering model {name}:{version}"
        if self._is_registered(name, version, child, what):
            return
        try:
            with translated(what):
                self._create_model(name, version, child, tags)
        except Conflict:
            if not self._is_registered(name, version, child, what):
                raise

    def _create_model(self, name: str, version: str, child: str, tags: Mapping[str, str]) -> None:
        from azure.ai.ml.entities import Model

        path = f"azureml://jobs/{child}/outputs/artifacts/outputs/mlflow-model/"
        model = Model(name=name, version=version, type="mlflow_model", path=path, tags={**tags, TRIAL_TAG: child})
        self._client.models.create_or_update(model)

    def _is_registered(self, name: str, version: str, child: str, what: str) -> bool:
        try:
            with translated(what):
                model = self._client.models.get(name, version=version)
        except NotFound:
            return False
        if (model.tags or {}).get(TRIAL_TAG) != child and f"/{child}/" not in f"{model.path}/":
            raise Conflict(f"{what}: it exists from another trial")
        return True

    def endpoint(self, name: str) -> EndpointView | None:
        """See `Workspace`."""
        try:
            with translated(f"Looking at endpoint {name}"):
                found = self._client.online_endpoints.get(name)
        except NotFound:
            return None
        traffic = {str(slot): int(percent) for slot, percent in (found.traffic or {}).items() if percent}
        state = _state(found.provisioning_state)
        error = "Azure ML says that provisioning failed" if state == "failed" else ""
        return EndpointView(name, state, self._address(name, found), traffic, error)

    def _address(self, name: str, found: Any) -> str:
        """Where to score; an endpoint on Kubernetes takes tokens of its own only."""
        uri = str(found.scoring_uri or "")
        if not uri or found.auth_mode == "aad_token":
            return uri
        return with_tokens(uri, str(self._client._base_url), f"{self._workspace_id}/onlineEndpoints/{name}")

    def begin_endpoint(self, name: str, tags: Mapping[str, str], cluster: str = "") -> None:
        """See `Workspace`. An endpoint that exists is left alone: creating it again would take its traffic away."""
        if self.endpoint(name) is not None:
            return
        with _one_at_a_time(), translated(f"Creating endpoint {name}"):
            self._put_endpoint(online_endpoint(name, tags, self._compute_id(cluster)))

    def _compute_id(self, cluster: str) -> str:
        return f"{self._workspace_id}/computes/{cluster}" if cluster else ""

    def _put_endpoint(self, endpoint: Any) -> None:
        operations = self._client.online_endpoints
        operations._online_operation.begin_create_or_update(
            endpoint_name=endpoint.name,
            body=endpoint._to_rest_online_endpoint(self._location),
            polling=False,
            **self._scope,
        )

    def deployment(self, endpoint: str, slot: str) -> DeploymentView | None:
        """See `Workspace`."""
        try:
            with translated(f"Looking at slot {slot} of {endpoint}"):
                found = self._client.online_deployments.get(slot, endpoint)
        except NotFound:
            return None
        state = _state(found.provisioning_state)
        error = self._last_words(endpoint, slot) if state == "failed" else ""
        return DeploymentView(slot, state, _name_and_version(str(found.model or "")), error)

    def _last_words(self, endpoint: str, slot: str) -> str:
        with suppress(VisionloopError), translated(f"Reading the log of slot {slot}"):
            logs = self._client.online_deployments.get_logs(slot, endpoint, lines=5)
            return clean(f"provisioning failed; its log ends: {logs}")
        return "provisioning failed"

    def begin_deployment(self, spec: DeploymentSpec) -> None:
        """See `Workspace`."""
        if self.deployment(spec.endpoint, spec.slot) is not None:
            return
        with _one_at_a_time(), translated(f"Deploying {spec.model} to slot {spec.slot} of {spec.endpoint}"):
            self._create_deployment(spec)

    def _create_deployment(self, spec: DeploymentSpec) -> None:
        name, _, version = spec.model.rpartition(":")
        deployment = online_deployment(spec, self._arm_id("models", name, version))
        self._put_deployment(deployment)

    def begin_scale(self, endpoint: str, slot: str, instances: int) -> None:
        """See `Workspace`."""
        what = f"Giving slot {slot} of {endpoint} {instances} machines"
        with translated(what):
            found = self._client.online_deployments.get(slot, endpoint)
        if found.instance_count == instances:
            return
        found.instance_count = instances
        with _one_at_a_time(), translated(what):
            self._put_deployment(found)

    def _put_deployment(self, deployment: Any) -> None:
        self._client.online_deployments._online_deployment.begin_create_or_update(
            endpoint_name=deployment.endpoint_name,
            deployment_name=deployment.name,
            body=deployment._to_rest_object(location=self._location),
            polling=False,
            **self._scope,
        )

    def begin_traffic(self, endpoint: str, traffic: Mapping[str, int]) -> None:
        """See `Workspace`."""
        share = {slot: percent for slot, percent in traffic.items() if percent}
        what = f"Setting the traffic of {endpoint}"
        with translated(what):
            found = self._client.online_endpoints.get(endpoint)
        slots = sorted(found.traffic or {})
        if not set(share) <= set(slots) or sum(share.values()) not in (0, 100):
            raise Conflict(f"{what}: {share} is refused, its slots are {slots}")
        found.traffic = share
        with _one_at_a_time(), translated(what):
            self._put_endpoint(found)

    def begin_delete_deployment(self, endpoint: str, slot: str) -> None:
        """See `Workspace`."""
        with _one_at_a_time(), suppress(NotFound), translated(f"Deleting slot {slot} of {endpoint}"):
            self._client.online_deployments._online_deployment.begin_delete(
                endpoint_name=endpoint, deployment_name=slot, polling=False, **self._scope
            )


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Azure's 409 for an endpoint that another operation is changing means: come again later."""
    try:
        yield
    except Conflict as error:
        raise UpstreamBusy(error.detail) from error


def _state(text: object) -> Provisioning:
    return _STATES.get(_word(text).lower(), "creating")


def _word(value: object) -> str:
    """The SDK gives texts here and enumerations there."""
    return str(getattr(value, "value", value) or "")


def _name_and_version(model: str) -> str:
    """`name:version` of an ARM id, or of `azureml:name:version`."""
    if "/versions/" in model:
        head, _, version = model.rpartition("/versions/")
        return f"{head.rpartition('/')[2]}:{version}"
    return model.removeprefix("azureml:")


def _folder(path: str) -> str:
    return path.rpartition("/datastores/")[2].strip("/")


def _time(milliseconds: object) -> datetime | None:
    if not isinstance(milliseconds, int | float | str) or not str(milliseconds).isdecimal() or int(milliseconds) == 0:
        return None
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
