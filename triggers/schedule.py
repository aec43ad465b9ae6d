"""Timer: look at every loop, whatever event was lost."""

from __future__ import annotations

import azure.functions as func

blueprint = func.Blueprint()


@blueprint.function_name("sweep")
@blueprint.timer_trigger(arg_name="timer", schedule="%VISIONLOOP_SWEEP_SCHEDULE%")
def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001  # the binding asks for it
    """Wake every loop."""
    from services import wiring

    wiring.sweeper().sweep()
