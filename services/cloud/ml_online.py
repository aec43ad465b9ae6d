"""The SDK's objects of online endpoints and their slots: managed by Azure ML, or on an attached Kubernetes cluster.

https://learn.microsoft.com/azure/machine-learning/how-to-attach-kubernetes-anywhere
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.cloud.ports.serving import DeploymentSpec


def online_endpoint(name: str, tags: Mapping[str, str], compute_id: str = "") -> Any:
    """An endpoint; `compute_id` is the ARM id of a cluster, empty for a managed one.

    Managed ones take tokens of the app's identity. Kubernetes ones know keys and tokens of their own only; tokens end
    by themselves.
    """
    from azure.ai.ml.entities import KubernetesOnlineEndpoint, ManagedOnlineEndpoint

    if compute_id:
        return KubernetesOnlineEndpoint(name=name, compute=compute_id, auth_mode="aml_token", tags=dict(tags))
    return ManagedOnlineEndpoint(name=name, auth_mode="aad_token", tags=dict(tags))


def online_deployment(spec: DeploymentSpec, model_id: str) -> Any:
    """A slot of an endpoint; `model_id` is the ARM id of the model."""
    from azure.ai.ml.entities import (
        KubernetesOnlineDeployment,
        ManagedOnlineDeployment,
        OnlineRequestSettings,
        ProbeSettings,
    )

    kind = KubernetesOnlineDeployment if spec.cluster else ManagedOnlineDeployment
    return kind(
        name=spec.slot,
        endpoint_name=spec.endpoint,
        model=model_id,
        instance_type=spec.instance_type or None,
        instance_count=spec.instance_count,
        request_settings=OnlineRequestSettings(
            max_concurrent_requests_per_instance=spec.max_concurrent_requests,
            request_timeout_ms=spec.request_timeout_seconds * 1000,
        ),
        # An image model takes minutes to load; the defaults restart it before it is ready.
        liveness_probe=ProbeSettings(failure_threshold=30, timeout=10, period=10, initial_delay=600),
        readiness_probe=ProbeSettings(failure_threshold=30, timeout=10, period=10, initial_delay=10),
        tags=dict(spec.tags),
    )
