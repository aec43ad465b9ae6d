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


@blueprint.function_name("api_page")
@blueprint.route("docs", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers
def api_page(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  # the binding asks for it
    """The page to read and try it; it asks for the key itself."""
    from services.openapi.page import headers, page

    return func.HttpResponse(page(), mimetype="text/html", headers=headers())
