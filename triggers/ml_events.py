"""Event Grid: something happened to a run in Azure ML."""

from __future__ import annotations

import azure.functions as func

from triggers.event import parts

blueprint = func.Blueprint()


@blueprint.function_name("ml_events")
@blueprint.event_grid_trigger(arg_name="event")
def ml_events(event: func.EventGridEvent) -> None:
    """Wake the loop whose job the run is."""
    from services import hints, wiring

    loop = hints.loop_of_ml_event(*parts(event))
    if loop is not None:
        wiring.waker().wake(loop, "a run changed")
