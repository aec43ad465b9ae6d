"""HTTP: dataset versions, what they change, what they were made of, and their images in other tools' formats."""

from __future__ import annotations

import azure.functions as func

from triggers.http import answers, asked, json_answer

blueprint = func.Blueprint()


@blueprint.function_name("datasets")
@blueprint.route("loops/{loop}/datasets", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def datasets(req: func.HttpRequest) -> func.HttpResponse:
    """Every version of a loop."""
    from services import wiring

    asked(req)
    return json_answer(wiring.datasets().listing(req.route_params["loop"]))


@blueprint.function_name("dataset")
@blueprint.route("loops/{loop}/datasets/{version}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def dataset(req: func.HttpRequest) -> func.HttpResponse:
    """One version."""
    from services import wiring

    asked(req)
    return json_answer(wiring.datasets().version(req.route_params["loop"], req.route_params["version"]))


@blueprint.function_name("dataset_changes")
@blueprint.route("loops/{loop}/datasets/{version}/changes", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def dataset_changes(req: func.HttpRequest) -> func.HttpResponse:
    """A page of the images that differ from the version before."""
    from services import wiring

    found, query = req.route_params, asked(req, "kind", "limit", "offset")
    return json_answer(wiring.datasets().changes(found["loop"], found["version"], query))


@blueprint.function_name("dataset_labels")
@blueprint.route("loops/{loop}/datasets/{version}/labels", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def dataset_labels(req: func.HttpRequest) -> func.HttpResponse:
    """A page of the label files that a version was made of."""
    from services import wiring

    found, query = req.route_params, asked(req, "limit", "offset")
    return json_answer(wiring.datasets().labels(found["loop"], found["version"], query))


@blueprint.function_name("dataset_export")
@blueprint.route("loops/{loop}/datasets/{version}/export", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def dataset_export(req: func.HttpRequest) -> func.HttpResponse:
    """A version in another tool's format, or a range of its bytes."""
    from services import wiring

    found, kind = req.route_params, asked(req, "format").get("format", "coco").lower()
    answer = wiring.exports().export(found["loop"], found["version"], kind, req.headers.get("range", ""))
    return func.HttpResponse(
        answer.body, status_code=answer.status, headers=answer.headers, mimetype=answer.content_type
    )
