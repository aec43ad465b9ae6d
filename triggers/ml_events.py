"""Event Grid: something happened to a run in Azure ML."""

from __future__ import annotations

import azure.functions as func

from triggers.event import parts, wake

blueprint = func.Blueprint()


@blueprint.function_name("ml_events")
@blueprint.event_grid_trigger(arg_name="event")
def ml_events(event: func.EventGridEvent) -> None:
    """Wake the loop whose job the run is."""
    from services import hints

    wake(hints.loop_of_ml_event(*parts(event)), "a run changed", event)
