"""HTTP: the Open Inference Protocol v2 below /api/client/v2, all of it, for holders of client keys.

Who serves, and whether it is there, is told to everybody, as neither is of a loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import azure.functions as func

from triggers.http import answers, answers_later, json_answer
from triggers.open_inference import health, infer, model, protocol, ready

blueprint = func.Blueprint()
OURS = func.AuthLevel.ANONYMOUS
MODEL = "client/v2/models/{loop}"


@blueprint.function_name("client_v2_server")
@blueprint.route("client/v2", methods=["GET"], auth_level=OURS)
@answers
def client_v2_server(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  # the binding asks for it
    """As `v2_server`."""
    from services.inference.open_inference import server

    return json_answer(server())


@blueprint.function_name("client_v2_health")
@blueprint.route("client/v2/health/{probe}", methods=["GET"], auth_level=OURS)
@answers_later
@protocol
async def client_v2_health(req: func.HttpRequest) -> func.HttpResponse:
    """As `v2_health`."""
    return await health(req)


@blueprint.function_name("client_v2_model")
@blueprint.route(MODEL, methods=["GET"], auth_level=OURS)
@answers_later
@protocol
async def client_v2_model(req: func.HttpRequest) -> func.HttpResponse:
    """As `v2_model`."""
    return await model(req, let_in(req))


@blueprint.function_name("client_v2_version")
@blueprint.route(f"{MODEL}/versions/{{version}}", methods=["GET"], auth_level=OURS)
@answers_later
@protocol
async def client_v2_version(req: func.HttpRequest) -> func.HttpResponse:
    """As `v2_version`."""
    return await model(req, let_in(req))


@blueprint.function_name("client_v2_model_ready")
@blueprint.route(f"{MODEL}/ready", methods=["GET"], auth_level=OURS)
@answers_later
@protocol
async def client_v2_model_ready(req: func.HttpRequest) -> func.HttpResponse:
    """As `v2_model_ready`."""
    return await ready(req, let_in(req))


@blueprint.function_name("client_v2_version_ready")
@blueprint.route(f"{MODEL}/versions/{{version}}/ready", methods=["GET"], auth_level=OURS)
@answers_later
@protocol
async def client_v2_version_ready(req: func.HttpRequest) -> func.HttpResponse:
    """As `v2_version_ready`."""
    return await ready(req, let_in(req))


@blueprint.function_name("client_v2_infer")
@blueprint.route(f"{MODEL}/infer", methods=["POST"], auth_level=OURS)
@answers_later
@protocol
async def client_v2_infer(req: func.HttpRequest) -> func.HttpResponse:
    """As `v2_infer`."""
    return await infer(req, let_in(req))


@blueprint.function_name("client_v2_version_infer")
@blueprint.route(f"{MODEL}/versions/{{version}}/infer", methods=["POST"], auth_level=OURS)
@answers_later
@protocol
async def client_v2_version_infer(req: func.HttpRequest) -> func.HttpResponse:
    """As `v2_version_infer`."""
    return await infer(req, let_in(req))


def let_in(req: func.HttpRequest) -> Callable[[], Awaitable[object]]:
    """Raises, when it is awaited, where the request may not predict."""
    from services import wiring

    door, loop = wiring.door(), req.route_params["loop"]
    return lambda: door.let_in(loop, req.headers, "predict")
