"""Online endpoints, their slots and their traffic."""
# ruff: noqa: SLF001 - see ml.py: the generated clients are private members of the public ones

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from services.cloud.endpoint_token import with_tokens
from services.cloud.ml_base import WorkspaceBase, word
from services.cloud.ml_client import translated
from services.cloud.ml_online import online_deployment, online_endpoint
from services.cloud.ports.serving import DeploymentSpec, DeploymentView, EndpointView, Provisioning
from services.cloud.upstream import clean
from services.errors import Conflict, NotFound, UpstreamBusy, VisionloopError
from services.words import numbered

OWNER_TAG = "visionloop_loop"

_STATES: dict[str, Provisioning] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
    "deleting": "deleting",
}


class Endpoints(WorkspaceBase):
    """An endpoint's update sends its whole traffic, so it is read first."""

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
        owner = str((found.tags or {}).get(OWNER_TAG) or "")
        return EndpointView(name, state, self._address(name, found), traffic, error, owner)

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
        what = f"Giving slot {slot} of {endpoint} {numbered(instances, 'machine')}"
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
    return _STATES.get(word(text).lower(), "creating")


def _name_and_version(model: str) -> str:
    """`name:version` of an ARM id, or of `azureml:name:version`."""
    if "/versions/" in model:
        head, _, version = model.rpartition("/versions/")
        return f"{head.rpartition('/')[2]}:{version}"
    return model.removeprefix("azureml:")
