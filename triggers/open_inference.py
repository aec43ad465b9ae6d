"""HTTP: the Open Inference Protocol v2 below /api/v2."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

import azure.functions as func

from services.errors import VisionloopError
from triggers.http import answers, answers_later, json_answer

blueprint = func.Blueprint()
KEY = func.AuthLevel.FUNCTION
Admit = Callable[[], Awaitable[object]]
Later = Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]


def protocol(handler: Later) -> Later:
    """Errors have the protocol's member too."""

    @wraps(handler)
    async def told(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return await handler(req)
        except VisionloopError as error:
            from services.inference.open_inference import as_protocol

            raise as_protocol(error) from None

    return told


@blueprint.function_name("v2_server")
@blueprint.route("v2", methods=["GET"], auth_level=KEY)
@answers
def v2_server(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  # the binding asks for it
    """Who serves."""
    from services.inference.open_inference import server

    return json_answer(server())


@blueprint.function_name("v2_health")
@blueprint.route("v2/health/{probe}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers_later
@protocol
async def v2_health(req: func.HttpRequest) -> func.HttpResponse:
    """Whether the app answers, and its storage."""
    return await health(req)


@blueprint.function_name("v2_model")
@blueprint.route("v2/models/{loop}", methods=["GET"], auth_level=KEY)
@answers_later
@protocol
async def v2_model(req: func.HttpRequest) -> func.HttpResponse:
    """A loop's tensors."""
    return await model(req)


@blueprint.function_name("v2_version")
@blueprint.route("v2/models/{loop}/versions/{version}", methods=["GET"], auth_level=KEY)
@answers_later
@protocol
async def v2_version(req: func.HttpRequest) -> func.HttpResponse:
    """The same of a version."""
    return await model(req)


@blueprint.function_name("v2_model_ready")
@blueprint.route("v2/models/{loop}/ready", methods=["GET"], auth_level=KEY)
@answers_later
@protocol
async def v2_model_ready(req: func.HttpRequest) -> func.HttpResponse:
    """Whether a loop has a live model."""
    return await ready(req)


@blueprint.function_name("v2_version_ready")
@blueprint.route("v2/models/{loop}/versions/{version}/ready", methods=["GET"], auth_level=KEY)
@answers_later
@protocol
async def v2_version_ready(req: func.HttpRequest) -> func.HttpResponse:
    """Whether a version answers."""
    return await ready(req)


@blueprint.function_name("v2_infer")
@blueprint.route("v2/models/{loop}/infer", methods=["POST"], auth_level=KEY)
@answers_later
@protocol
async def v2_infer(req: func.HttpRequest) -> func.HttpResponse:
    """Ask the live model."""
    return await infer(req)


@blueprint.function_name("v2_version_infer")
@blueprint.route("v2/models/{loop}/versions/{version}/infer", methods=["POST"], auth_level=KEY)
@answers_later
@protocol
async def v2_version_infer(req: func.HttpRequest) -> func.HttpResponse:
    """Ask a version."""
    return await infer(req)


async def health(req: func.HttpRequest) -> func.HttpResponse:
    """A probe of the app."""
    from services.inference.open_inference import probe
    from services.threads import in_thread

    name = req.route_params["probe"]
    return json_answer(await in_thread(lambda: probe(name)) if name == "ready" else probe(name))


async def model(req: func.HttpRequest, admit: Admit | None = None) -> func.HttpResponse:
    """Metadata; `admit` as for `infer`."""
    from services import wiring

    service = wiring.open_inference()
    with wiring.gate():
        if admit is not None:
            await admit()
        return json_answer(await service.model(*_names(req)))


async def ready(req: func.HttpRequest, admit: Admit | None = None) -> func.HttpResponse:
    """Whether a model answers; `admit` as for `infer`."""
    from services import wiring

    service = wiring.open_inference()
    with wiring.gate():
        if admit is not None:
            await admit()
        return json_answer(await service.ready(*_names(req)))


async def infer(req: func.HttpRequest, admit: Admit | None = None) -> func.HttpResponse:
    """Ask a model; `admit`, which may take its time, raises where the request may not come in."""
    from services import wiring
    from services.inference.predict import Request

    loop, version = _names(req)
    request = Request(loop, req.get_body(), req.headers, req.params)
    service = wiring.open_inference()
    with wiring.gate():
        if admit is not None:
            await admit()
        reply = await service.infer(request, version)
    return func.HttpResponse(reply.content, mimetype=reply.content_type, headers=reply.headers)


def _names(req: func.HttpRequest) -> tuple[str, str]:
    return req.route_params["loop"], req.route_params.get("version", "")
