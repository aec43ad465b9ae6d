"""`promotion`, `rollout` and `endpoint` of loop.yaml: which model goes live, how, and where."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from services.config_part import ClassName, Part


class Promotion(Part):
    """When a challenger becomes champion."""

    metric: Literal["mean_average_precision", "map50", "accuracy", "macro_f1", "iou"] | None = None
    """Metric compared on the holdout; null takes the task's usual one."""
    margin: float = Field(0.0, ge=0, le=1)
    """How much better than the champion a challenger must be."""
    minimum: float = Field(0.0, ge=0, le=1)
    """The least a first champion must reach."""
    class_floors: dict[ClassName, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """The least a challenger must reach of a class, in the compared metric or else its F1; "*" is every class."""
    max_latency_ms: float | None = Field(None, gt=0)
    """The most that 95 of 100 single images may take through the challenger's slot, in milliseconds."""
    require_significance: bool = False
    """Promote only where the bootstrap interval of the difference lies above 0: where it is more than noise."""
    approval: Literal["none", "required"] = "none"
    """Whether a person has to say yes before traffic moves, by the link in the event rollout.approval_requested."""
    approval_hours: float = Field(72, gt=0, le=168)
    """How long the link holds; without an answer by then the challenger is rejected."""


class Health(Part):
    """What a challenger must not do while its users are watched; a breach takes its traffic back."""

    min_requests: int = Field(20, ge=1)
    """Requests of a slot before it is judged."""
    max_error_rate: float = Field(0.05, ge=0, le=1)
    """How much larger a share of requests may fail than of the champion's."""
    max_latency_ratio: float = Field(2.0, ge=1)
    """How many times the champion's 95th percentile of latency the challenger's may be."""


class RolloutPolicy(Part):
    """How traffic moves to a challenger that was found better."""

    mirror: int = Field(0, ge=0, le=50)
    """Percent of the predictions that are copied to the challenger for `bake_seconds`, before it answers anybody."""
    canary: list[Annotated[int, Field(ge=1, le=99)]] = Field(default_factory=list, max_length=10)
    """Percentages that the challenger gets one after the other before it gets all, such as [10, 50]."""
    bake_seconds: float = Field(600, ge=0, le=24 * 3600)
    """How long each percentage is watched."""
    rollback_window_minutes: float = Field(0, ge=0, le=7 * 24 * 60)
    """How long the old slot is kept, and paid, after the traffic moved, for a rollback within seconds."""
    health: Health = Health()
    """What a challenger must not do while its users are watched."""

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if any(later <= earlier for earlier, later in pairwise(self.canary)):
            raise PydanticCustomError("canary", "percentages that grow")
        return self


class Endpoint(Part):
    """The online endpoint that serves the loop."""

    name: str | None = Field(None, pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")
    """Name of the endpoint; null derives one from the loop's name."""
    kind: Literal["managed", "kubernetes"] = "managed"
    """Machines that Azure ML manages, or a Kubernetes cluster that is attached to the workspace."""
    compute: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]$")
    """Name of the attached cluster, for kind kubernetes."""
    instance_type: str | None = None
    """Virtual machine size of a slot, null takes Standard_DS3_v2; on Kubernetes the cluster's instance type."""
    instance_count: int = Field(1, ge=1, le=20)
    """Machines of a slot."""
    request_timeout_seconds: int = Field(90, ge=1, le=180)
    """How long the endpoint may take for one request."""
    max_concurrent_requests: int = Field(16, ge=1, le=64)
    """Requests that one machine takes at once; Azure refuses what exceeds it, and as many that wait, with 429."""
    idle_after_hours: float | None = Field(None, ge=0.1, le=24 * 365)
    """Let the endpoint rest after so many hours without a prediction; null keeps it up, and paid, always."""
    idle: Literal["remove", "scale"] = "remove"
    """How it rests: without its slot, waking takes minutes; or with one machine instead of `instance_count`."""
    repair: Literal["none", "lost", "all"] = "lost"
    """What others changed: `lost` brings back a slot that is gone or failed, `all` also moved traffic, `none` tells."""
    wake_at: list[Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]] = Field(
        default_factory=list, max_length=24
    )
    """Times of day, in UTC, at which an endpoint that rests is woken, such as ["07:30"]."""

    @property
    def cluster(self) -> str:
        """The attached cluster; empty for a managed endpoint."""
        return (self.compute or "") if self.kind == "kubernetes" else ""

    @property
    def machine(self) -> str:
        """The size of a slot's machines; empty for the cluster's own default."""
        return self.instance_type or ("" if self.kind == "kubernetes" else "Standard_DS3_v2")

    @model_validator(mode="after")
    def _has_a_cluster(self) -> Self:
        if self.kind == "kubernetes" and not self.compute:
            raise PydanticCustomError("endpoint", "compute, the name of the attached cluster, for kind kubernetes")
        return self
