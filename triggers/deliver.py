"""Queue: make one attempt at one webhook delivery."""

from __future__ import annotations

import logging

import azure.functions as func

from services.errors import BadRequest

blueprint = func.Blueprint()


@blueprint.function_name("deliver")
@blueprint.queue_trigger(arg_name="message", queue_name="visionloop-deliveries", connection="SystemStorage")
def deliver(message: func.QueueMessage) -> None:
    """Deliver; a message that is not ours is dropped, as no repetition would help it."""
    from services import wiring

    try:
        wiring.deliverer().deliver(message.get_body().decode("utf-8", "replace"))
    except BadRequest as error:
        logging.getLogger(__name__).warning("A message of the delivery queue is dropped: %s", error.detail)
