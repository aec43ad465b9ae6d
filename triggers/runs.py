"""HTTP: training runs and their trials, as JSON and as pictures."""

from __future__ import annotations

import azure.functions as func

from triggers.http import answers, asked, json_answer

blueprint = func.Blueprint()
SVG = "image/svg+xml"


@blueprint.function_name("runs")
@blueprint.route("loops/{loop}/runs", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def runs(req: func.HttpRequest) -> func.HttpResponse:
    """All runs, the best first; with `format=svg` a picture of the best value run by run."""
    from services import wiring

    loop, query = req.route_params["loop"], asked(req, "metric", "format")
    metric = query.get("metric")
    if wiring.runs().is_picture(query.get("format")):
        return func.HttpResponse(wiring.runs().comparison(loop, metric), mimetype=SVG)
    return json_answer(wiring.runs().leaderboard(loop, metric))


@blueprint.function_name("run")
@blueprint.route("loops/{loop}/runs/{number}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def run(req: func.HttpRequest) -> func.HttpResponse:
    """A run with its trials, epoch by epoch."""
    from services import wiring

    asked(req)
    return json_answer(wiring.runs().run(req.route_params["loop"], req.route_params["number"]))


@blueprint.function_name("run_plot")
@blueprint.route("loops/{loop}/runs/{number}/plot", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def plot(req: func.HttpRequest) -> func.HttpResponse:
    """A metric of all trials by epoch, as SVG."""
    from services import wiring

    drawn = wiring.runs().plot(req.route_params["loop"], req.route_params["number"], asked(req, "metric").get("metric"))
    return func.HttpResponse(drawn, mimetype=SVG)
