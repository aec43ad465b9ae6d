"""What Azure ML is asked to make for a loop: its endpoint, and a slot with a model, by the settings of loop.yaml."""

from __future__ import annotations

from services.cloud.ports.serving import DeploymentSpec
from services.context import LoopContext
from services.state import ModelRef


def make_endpoint(context: LoopContext, name: str) -> None:
    """Begin to make the endpoint."""
    context.cloud.workspace.begin_endpoint(name, {"visionloop_loop": context.loop}, context.config.endpoint.cluster)


def make_deployment(context: LoopContext, endpoint: str, slot: str, model: ModelRef, run: int) -> None:
    """Begin to deploy a model to a slot, without traffic."""
    settings = context.config.endpoint
    spec = DeploymentSpec(
        endpoint=endpoint,
        slot=slot,
        model=f"{model.name}:{model.version}",
        instance_type=settings.machine,
        instance_count=settings.instance_count,
        request_timeout_seconds=settings.request_timeout_seconds,
        max_concurrent_requests=settings.max_concurrent_requests,
        tags={"visionloop_loop": context.loop, "visionloop_run": str(run)},
        cluster=settings.cluster,
    )
    context.cloud.workspace.begin_deployment(spec)
