"""HTTP: ask the live model of a loop about an image."""

from __future__ import annotations

import azure.functions as func

from triggers.http import answers

blueprint = func.Blueprint()


@blueprint.function_name("predict")
@blueprint.route("loops/{loop}/predict", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def predict(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with predictions, or with the picture where `render=true`."""
    from services import wiring

    content_type = req.headers.get("content-type", "")
    reply = wiring.predictor().reply(req.route_params["loop"], req.get_body(), content_type, dict(req.params))
    return func.HttpResponse(reply.content, mimetype=reply.content_type)
