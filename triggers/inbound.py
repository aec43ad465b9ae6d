"""HTTP, queue and timer: which systems may send images and labels, and what they send."""

from __future__ import annotations

import logging

import azure.functions as func

from services.errors import BadRequest
from triggers.http import answers, answers_large, json_answer

blueprint = func.Blueprint()


@blueprint.function_name("inbound_register")
@blueprint.route("inbound", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def register(req: func.HttpRequest) -> func.HttpResponse:
    """Let a system send; its secret is shown here and never again."""
    from services import wiring

    return json_answer(wiring.inbound_sources().register(req.get_body()), 201)


@blueprint.function_name("inbound_list")
@blueprint.route("inbound", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def listing(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  # the binding asks for it
    """All systems that may send."""
    from services import wiring

    return json_answer(wiring.inbound_sources().list())


@blueprint.function_name("inbound_update")
@blueprint.route("inbound/{id}", methods=["PATCH"], auth_level=func.AuthLevel.FUNCTION)
@answers
def update(req: func.HttpRequest) -> func.HttpResponse:
    """Change what a system is asked with, such as a token that expires."""
    from services import wiring

    return json_answer(wiring.inbound_sources().update(req.route_params["id"], req.get_body()))


@blueprint.function_name("inbound_rotate")
@blueprint.route("inbound/{id}/rotate", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@answers
def rotate(req: func.HttpRequest) -> func.HttpResponse:
    """A new secret, shown here and never again."""
    from services import wiring

    return json_answer(wiring.inbound_sources().rotate(req.route_params["id"], req.get_body()))


@blueprint.function_name("inbound_remove")
@blueprint.route("inbound/{id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
@answers
def remove(req: func.HttpRequest) -> func.HttpResponse:
    """Take nothing more from a system."""
    from services import wiring

    wiring.inbound_sources().remove(req.route_params["id"])
    return func.HttpResponse(status_code=204)


@blueprint.function_name("inbound_events")
@blueprint.route("inbound/{id}/events", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answers_large
def events(req: func.HttpRequest) -> func.HttpResponse:
    """Take what a system sends; its signature or secret is its key."""
    from services import wiring

    return json_answer(wiring.inbound().take(req.route_params["id"], req.headers, req.get_body()))


@blueprint.function_name("inbound_later")
@blueprint.queue_trigger(arg_name="message", queue_name="visionloop-inbound", connection="SystemStorage")
def later(message: func.QueueMessage) -> None:
    """Work on what a system sent; a message that is not ours is dropped, as no repetition would help it."""
    from services import wiring

    try:
        wiring.inbound_worker().work(message.get_body().decode("utf-8", "replace"))
    except BadRequest as error:
        logging.getLogger(__name__).warning("A message of the inbound queue is dropped: %s", error.detail)


@blueprint.function_name("inbound_overdue")
@blueprint.timer_trigger(arg_name="timer", schedule="%VISIONLOOP_SWEEP_SCHEDULE%")
def overdue(timer: func.TimerRequest) -> None:  # noqa: ARG001  # the binding asks for it
    """Look for what systems sent and nobody works on."""
    from services import wiring

    wiring.inbound_worker().look_again()
