"""Queue, HTTP and timer: predictions that nobody waits for."""

from __future__ import annotations

import logging

import azure.functions as func

from services.errors import BadRequest
from triggers.http import answers

blueprint = func.Blueprint()


@blueprint.function_name("predict_later")
@blueprint.queue_trigger(arg_name="message", queue_name="visionloop-predictions", connection="SystemStorage")
async def predict_later(message: func.QueueMessage) -> None:
    """Make one; a message that is not ours, or whose request is forgotten, is dropped."""
    from services import wiring

    try:
        await wiring.later().make(message.get_body().decode("utf-8", "replace"), message.dequeue_count or 1)
    except BadRequest as error:
        logging.getLogger(__name__).warning("A message of the prediction queue is dropped: %s", error.detail)


@blueprint.function_name("prediction")
@blueprint.route("loops/{loop}/predictions/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@answers
def prediction(req: func.HttpRequest) -> func.HttpResponse:
    """What came of one."""
    from services import wiring

    status, reply = wiring.later().show(req.route_params["loop"], req.route_params["id"])
    return func.HttpResponse(reply.content, status_code=status, mimetype=reply.content_type, headers=reply.headers)


@blueprint.function_name("forget_predictions")
@blueprint.timer_trigger(arg_name="timer", schedule="0 17 * * * *")
def forget_predictions(timer: func.TimerRequest) -> None:  # noqa: ARG001  # the binding asks for it
    """Delete what was kept long enough."""
    from services import wiring

    wiring.later().forget()
    wiring.retention().forget()
    wiring.delivery_log().forget()
