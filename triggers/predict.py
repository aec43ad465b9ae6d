"""HTTP: ask the live model of a loop about an image."""

from __future__ import annotations

import azure.functions as func

from triggers.http import answers_later

blueprint = func.Blueprint()


@blueprint.function_name("predict")
@blueprint.route("loops/{loop}/predict", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers_later
async def predict(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with predictions, or with the picture that has them drawn; later, where the caller prefers."""
    from services import wiring
    from services.inference.predict import Request
    from services.inference.wishes import wants_later

    request = Request(req.route_params["loop"], req.get_body(), req.headers, req.params)
    if wants_later(req.headers):
        later = wiring.later()
        status, reply = await wiring.gate().run(lambda: later.accept(request))
        return func.HttpResponse(reply.content, status_code=status, mimetype=reply.content_type, headers=reply.headers)
    predictor = wiring.predictor()
    reply = await wiring.gate().run(lambda: predictor.reply(request))
    return func.HttpResponse(reply.content, mimetype=reply.content_type, headers=reply.headers)
