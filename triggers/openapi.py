"""HTTP: what the app's own surface is, for programs and for people. Neither holds anything secret."""

from __future__ import annotations

import azure.functions as func

from triggers.http import answers

blueprint = func.Blueprint()


@blueprint.function_name("openapi")
@blueprint.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  # the binding asks for it
    """The OpenAPI document."""
    from services.openapi.document import text

    return func.HttpResponse(text(), mimetype="application/json")
