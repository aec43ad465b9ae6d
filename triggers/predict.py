"""HTTP: ask the live model of a loop about an image."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import azure.functions as func

from triggers.http import answers_later

blueprint = func.Blueprint()


@blueprint.function_name("predict")
@blueprint.route("loops/{loop}/predict", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers_later
async def predict(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with predictions, or with the picture that has them drawn; later, where the caller prefers."""
    return await ask(req)


async def ask(
    req: func.HttpRequest, admit: Callable[[], Awaitable[object]] | None = None, below: str = "/api"
) -> func.HttpResponse:
    """The same; `admit` says in its time who asks, or raises where nobody may come in; `below` is our address."""
    from services import wiring
    from services.inference.predict import Request
    from services.inference.wishes import wants_later

    request = Request(req.route_params["loop"], req.get_body(), req.headers, req.params)
    later, predictor = wiring.later() if wants_later(req.headers) else None, wiring.predictor()
    with wiring.gate():
        who = "" if admit is None else str(await admit())
        status, reply = await later.accept(request, below, who) if later else (200, await predictor.reply(request))
    return func.HttpResponse(reply.content, status_code=status, mimetype=reply.content_type, headers=reply.headers)
