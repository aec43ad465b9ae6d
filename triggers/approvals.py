"""HTTP: a person's yes to a rollout. The signed link is the key, so the functions ask for none."""

from __future__ import annotations

from collections.abc import Callable

import azure.functions as func

from triggers.http import answers

blueprint = func.Blueprint()


@blueprint.function_name("approval")
@blueprint.route("approvals/{loop}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def approval(req: func.HttpRequest) -> func.HttpResponse:
    """Show the question; looking at it answers nothing."""
    from services import wiring

    return _page(req, lambda: wiring.approvals().page(req.route_params["loop"], req.params.get("token", "")))


@blueprint.function_name("approval_answer")
@blueprint.route("approvals/{loop}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def approval_answer(req: func.HttpRequest) -> func.HttpResponse:
    """Take the answer, once."""
    from services import wiring

    return _page(req, lambda: wiring.approvals().answer(req.route_params["loop"], req.get_body()))


def _page(req: func.HttpRequest, made: Callable[[], str]) -> func.HttpResponse:
    """What a person reads in a browser, also where the link does nothing any more."""
    from services.approvals import HEADERS, refusal
    from services.errors import BadLink

    try:
        return func.HttpResponse(made(), mimetype="text/html", headers=HEADERS)
    except BadLink as error:
        if not (told := refusal(error, req.headers.get("accept", ""))):
            raise
        return func.HttpResponse(told, status_code=error.status, mimetype="text/html", headers=HEADERS)
