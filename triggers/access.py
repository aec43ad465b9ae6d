"""HTTP: client keys, and what their holders may ask: twins of other routes that the host asks no key for."""

from __future__ import annotations

import azure.functions as func

from triggers.client_open_inference import let_in
from triggers.http import answers, answers_later, json_answer
from triggers.predict import ask

blueprint = func.Blueprint()
KEY, OURS = func.AuthLevel.FUNCTION, func.AuthLevel.ANONYMOUS
BELOW = "/api/client"


@blueprint.function_name("keys_add")
@blueprint.route("loops/{loop}/keys", methods=["POST"], auth_level=KEY)
@answers
def add(req: func.HttpRequest) -> func.HttpResponse:
    """Make a key; it is shown here and never again."""
    from services import wiring

    return json_answer(wiring.key_console().add(req.route_params["loop"], req.get_body()), 201)


@blueprint.function_name("keys_list")
@blueprint.route("loops/{loop}/keys", methods=["GET"], auth_level=KEY)
@answers
def listing(req: func.HttpRequest) -> func.HttpResponse:
    """All keys, and what was asked with each."""
    from services import wiring

    return json_answer(wiring.key_console().list(req.route_params["loop"]))


@blueprint.function_name("keys_rotate")
@blueprint.route("loops/{loop}/keys/{id}/rotate", methods=["POST"], auth_level=KEY)
@answers
def rotate(req: func.HttpRequest) -> func.HttpResponse:
    """A new secret, shown here and never again."""
    from services import wiring

    found = req.route_params
    return json_answer(wiring.key_console().rotate(found["loop"], found["id"], req.get_body()))


@blueprint.function_name("keys_remove")
@blueprint.route("loops/{loop}/keys/{id}", methods=["DELETE"], auth_level=KEY)
@answers
def remove(req: func.HttpRequest) -> func.HttpResponse:
    """Forget a key."""
    from services import wiring

    wiring.key_console().remove(req.route_params["loop"], req.route_params["id"])
    return func.HttpResponse(status_code=204)


@blueprint.function_name("client_predict")
@blueprint.route("client/loops/{loop}/predict", methods=["POST"], auth_level=OURS)
@answers_later
async def client_predict(req: func.HttpRequest) -> func.HttpResponse:
    """As `predict`."""
    return await ask(req, let_in(req), BELOW)


@blueprint.function_name("client_prediction")
@blueprint.route("client/loops/{loop}/predictions/{id}", methods=["GET"], auth_level=OURS)
@answers
def client_prediction(req: func.HttpRequest) -> func.HttpResponse:
    """As `prediction`."""
    from services import wiring

    wiring.door().admit(req.route_params["loop"], req.headers, "predict", count=False)
    status, reply = wiring.later().show(req.route_params["loop"], req.route_params["id"], BELOW)
    return func.HttpResponse(reply.content, status_code=status, mimetype=reply.content_type, headers=reply.headers)
