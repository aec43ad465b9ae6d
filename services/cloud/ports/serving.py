"""An online endpoint and its slots: as they are asked for, and as Azure ML shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Provisioning = Literal["creating", "succeeded", "failed", "deleting"]


@dataclass(frozen=True, slots=True)
class EndpointView:
    """An online endpoint. `traffic` is percent by slot, zero entries left out."""

    name: str
    state: Provisioning
    scoring_uri: str
    traffic: Mapping[str, int]
    error: str = ""
    owner: str = ""
    """The loop that it was made for, by its tag `visionloop_loop`; empty where somebody else made it."""


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """One slot of an endpoint; `model` as `name:version`."""

    slot: str
    state: Provisioning
    model: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class DeploymentSpec:
    """A slot to create; `model` as `name:version`."""

    endpoint: str
    slot: str
    model: str
    instance_type: str
    instance_count: int
    request_timeout_seconds: int
    max_concurrent_requests: int
    tags: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""
    """The attached Kubernetes cluster; empty for a managed slot."""
