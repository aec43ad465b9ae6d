"""Queue: look at one loop."""

from __future__ import annotations

import logging

import azure.functions as func

from services.errors import BadRequest

blueprint = func.Blueprint()


@blueprint.function_name("wake")
@blueprint.queue_trigger(arg_name="message", queue_name="visionloop-wake", connection="SystemStorage")
def wake(message: func.QueueMessage) -> None:
    """Have the controller look; a message that is not ours is dropped, as no repetition would help it."""
    from services import wiring
    from services.wake import read_wake

    try:
        found = read_wake(message.get_body().decode("utf-8", "replace"))
    except BadRequest as error:
        logging.getLogger(__name__).warning("A message of the wake queue is dropped: %s", error.detail)
        return
    wiring.controller().wake(found.loop)
