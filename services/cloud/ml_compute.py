"""Whether a cluster can train: it is there and works, or the region offers its machines and there is quota for one.

What cannot be looked up is no reason against it: the job's own answer is the last word.
"""

# ruff: noqa: SLF001 - see `compute_errors`

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from services.cloud.ml_client import translated
from services.cloud.ports.training import ComputeSpec
from services.cloud.upstream import clean
from services.errors import NotFound, VisionloopError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def compute_problem(client: MLClient, spec: ComputeSpec) -> str:
    """What is wrong with a cluster, in a sentence; empty where nothing is known to be.

    Raises:
        Upstream: Azure fails in a way that may pass.
    """
    try:
        with translated(f"Looking for compute {spec.name}"):
            found: Any = client.compute.get(spec.name)
    except NotFound:
        with suppress(VisionloopError), translated(f"Looking for machines of size {spec.size}"):
            return _creation_problem(client, spec)
        return ""
    if str(found.type).lower() != "amlcompute":
        return f"Compute {spec.name} is a {found.type}, not a cluster: name another in training.compute.name"
    if str(found.provisioning_state).lower() == "failed":
        return f"Compute {spec.name} is in the state Failed: delete it, and it is created anew"
    return _other_size(spec, str(found.size or ""))


def _other_size(spec: ComputeSpec, size: str) -> str:
    """A cluster keeps the size it was made with; what a run costs is counted by the size of the settings."""
    if not size or size.lower() == spec.size.lower():
        return ""
    told = f"Compute {spec.name} has machines of size {size}, and the budget would count {spec.size}"
    return f"{told}: set training.compute.size to {size}, or training.compute.name to another cluster"


def compute_errors(client: MLClient, name: str) -> list[str]:
    """What a cluster says of machines that it could not get; a queued job only waits, and its own status is silent.

    The public `get` drops these errors, which Azure has at `properties.properties.errors`.
    """
    operations: Any = client.compute
    with suppress(VisionloopError), translated(f"Looking for errors of compute {name}"):
        found = operations._operation.get(client.resource_group_name, client.workspace_name, name).as_dict()
        errors = ((found.get("properties") or {}).get("properties") or {}).get("errors") or []
        return [_words(error.get("error") or {}) for error in errors]
    return []


def _words(error: dict[str, Any]) -> str:
    return clean(f"{error.get('code') or 'Error'}: {error.get('message') or ''}")


def _creation_problem(client: MLClient, spec: ComputeSpec) -> str:
    sizes = {str(s.name).lower(): s for s in client.compute.list_sizes()}
    size = sizes.get(spec.size.lower())
    if sizes and size is None:
        return f"The region offers no machines of size {spec.size}: set training.compute.size to another"
    return _quota_problem(client, spec.size, str(size.family), _number(size, "vCPUs", "v_cp_us")) if size else ""


def _quota_problem(client: MLClient, size: str, family: str, cores: int) -> str:
    left = _cores_left(client, family)
    if left is None or left >= cores:
        return ""
    told = f"The quota leaves {left} cores of the family {family}, and a {size} has {cores}"
    return f"{told}: ask for more, or set training.compute.size to another"


def _number(entity: object, *names: str) -> int:
    """azure-ai-ml 1.35.2 gives these entities members by their names on the wire, beside empty ones of its own."""
    return next((int(vars(entity)[name]) for name in names if vars(entity).get(name) is not None), 0)


def _cores_left(client: MLClient, family: str) -> int | None:
    """Cores that may still be used; None where the subscription's quota does not name the family."""
    for usage in client.compute.list_usage():
        name: Any = usage.name or {}
        if str(name.get("value", "")).lower() == family.lower() and (usage.limit or 0) >= 0:
            return _number(usage, "limit") - _number(usage, "currentValue", "current_value")
    return None
