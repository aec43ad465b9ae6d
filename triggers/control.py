"""HTTP: what people ask of a loop; the controller carries it out."""

from __future__ import annotations

import azure.functions as func

from triggers.http import answers, json_answer

blueprint = func.Blueprint()


@blueprint.function_name("train")
@blueprint.route("loops/{loop}/train", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def train(req: func.HttpRequest) -> func.HttpResponse:
    """Train now, whatever the thresholds."""
    from services import wiring

    return json_answer(wiring.controls().train(req.route_params["loop"], req.get_body()), 202)


@blueprint.function_name("rollout")
@blueprint.route("loops/{loop}/rollout/{word}", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def rollout(req: func.HttpRequest) -> func.HttpResponse:
    """Promote, roll back, hold or resume."""
    from services import wiring

    found = req.route_params
    return json_answer(wiring.rollout_controls().order(found["loop"], found["word"], req.get_body()), 202)


@blueprint.function_name("pause")
@blueprint.route("loops/{loop}/pause", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def pause(req: func.HttpRequest) -> func.HttpResponse:
    """Start nothing new."""
    from services import wiring

    return json_answer(wiring.controls().pause(req.route_params["loop"], req.get_body()), 202)


@blueprint.function_name("resume")
@blueprint.route("loops/{loop}/resume", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def resume(req: func.HttpRequest) -> func.HttpResponse:
    """Take a pause back."""
    from services import wiring

    return json_answer(wiring.controls().resume(req.route_params["loop"], req.get_body()), 202)


@blueprint.function_name("cancel_run")
@blueprint.route("loops/{loop}/runs/{number}/cancel", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def cancel_run(req: func.HttpRequest) -> func.HttpResponse:
    """Cancel a training run."""
    from services import wiring

    found = req.route_params
    return json_answer(wiring.controls().cancel(found["loop"], found["number"], req.get_body()), 202)
