"""HTTP: a person's yes to a rollout. The signed link is the key, so the functions ask for none."""

from __future__ import annotations

import azure.functions as func

from triggers.http import answers

blueprint = func.Blueprint()


@blueprint.function_name("approval")
@blueprint.route("approvals/{loop}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def approval(req: func.HttpRequest) -> func.HttpResponse:
    """Show the question; looking at it answers nothing."""
    from services import wiring
    from services.approvals import HEADERS

    page = wiring.approvals().page(req.route_params["loop"], req.params.get("token", ""))
    return func.HttpResponse(page, mimetype="text/html", headers=HEADERS)


@blueprint.function_name("approval_answer")
@blueprint.route("approvals/{loop}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def approval_answer(req: func.HttpRequest) -> func.HttpResponse:
    """Take the answer, once."""
    from services import wiring
    from services.approvals import HEADERS

    page = wiring.approvals().answer(req.route_params["loop"], req.get_body())
    return func.HttpResponse(page, mimetype="text/html", headers=HEADERS)
