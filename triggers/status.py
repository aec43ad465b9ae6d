"""HTTP: where the loops stand, as JSON and as a page."""

from __future__ import annotations

import azure.functions as func

from triggers.http import answers, asked, json_answer

blueprint = func.Blueprint()
KEY_HEADER = "x-functions-key"


@blueprint.function_name("health")
@blueprint.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Whether the app answers; with `deep=true` also whether its storage does."""
    from services.status.health import health as look
    from services.status.health import is_deep

    return json_answer(look(deep=is_deep(asked(req, "deep"))))


@blueprint.function_name("status")
@blueprint.route("status", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def status(req: func.HttpRequest) -> func.HttpResponse:
    """A line a loop."""
    from services import wiring

    asked(req)
    return json_answer(wiring.status().loops())


@blueprint.function_name("loop_status")
@blueprint.route("loops/{loop}/status", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def loop_status(req: func.HttpRequest) -> func.HttpResponse:
    """Everything about a loop."""
    from services import wiring

    asked(req)
    return json_answer(wiring.status().loop(req.route_params["loop"]))


@blueprint.function_name("problems")
@blueprint.route("loops/{loop}/problems", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def problems(req: func.HttpRequest) -> func.HttpResponse:
    """A page of everything that is wrong with a loop's files, the worst first."""
    from services import wiring

    query = asked(req, "severity", "code", "limit", "offset")
    if not req.headers.get(KEY_HEADER):
        query.pop("code", None)  # it is the key, by which the host let the request in
    return json_answer(wiring.problem_reports().report(req.route_params["loop"], query))


@blueprint.function_name("timeline")
@blueprint.route("loops/{loop}/timeline", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def timeline(req: func.HttpRequest) -> func.HttpResponse:
    """A page of a loop's events, newest first."""
    from services import wiring

    return json_answer(wiring.status().timeline(req.route_params["loop"], asked(req, "limit", "before")))


@blueprint.function_name("explain")
@blueprint.route("loops/{loop}/explain", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def explain(req: func.HttpRequest) -> func.HttpResponse:
    """What would happen to a loop now, and what is missing for it."""
    from services import wiring

    asked(req)
    return json_answer(wiring.status().explain(req.route_params["loop"], wiring.clock()))


@blueprint.function_name("model_card")
@blueprint.route("loops/{loop}/models/{version}/card", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def model_card(req: func.HttpRequest) -> func.HttpResponse:
    """What a model was made of, how it was measured, and what was decided."""
    from services import wiring

    found, kind = req.route_params, asked(req, "format").get("format", "json").lower()
    content, content_type = wiring.cards().card(found["loop"], found["version"], kind)
    return func.HttpResponse(content, mimetype=content_type)


@blueprint.function_name("dashboard")
@blueprint.route("dashboard", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def dashboard(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  # the binding asks for it
    """The page; it asks for the key itself, and holds nothing secret."""
    from services.status.page import headers, page

    return func.HttpResponse(page(), mimetype="text/html", headers=headers())
