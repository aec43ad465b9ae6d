"""HTTP: Label Studio's ML backend protocol; the password is the secret of an inbound source."""

from __future__ import annotations

import azure.functions as func

from triggers.http import answers, answers_later, json_answer

blueprint = func.Blueprint()


@blueprint.function_name("label_studio_health")
@blueprint.route("label-studio/{id}/health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say that we are there."""
    from services import wiring

    return json_answer(wiring.suggestions().up(req.route_params["id"], req.headers))


@blueprint.function_name("label_studio_setup")
@blueprint.route("label-studio/{id}/setup", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def setup(req: func.HttpRequest) -> func.HttpResponse:
    """Take a project."""
    from services import wiring

    return json_answer(wiring.suggestions().setup(req.route_params["id"], req.headers))


@blueprint.function_name("label_studio_predict")
@blueprint.route("label-studio/{id}/predict", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answers_later
async def predict(req: func.HttpRequest) -> func.HttpResponse:
    """Suggestions of the live model."""
    from services import wiring

    suggestions, source, headers, body = wiring.suggestions(), req.route_params["id"], req.headers, req.get_body()
    with wiring.gate():
        return json_answer(await suggestions.predict(source, headers, body))


@blueprint.function_name("label_studio_webhook")
@blueprint.route("label-studio/{id}/webhook", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def webhook(req: func.HttpRequest) -> func.HttpResponse:
    """Acknowledge: the loop trains by its thresholds, and labels come by the project's own webhook."""
    from services import wiring

    return json_answer(wiring.suggestions().up(req.route_params["id"], req.headers), 201)
