"""Event Grid: something was written to, or deleted from, the data container."""

from __future__ import annotations

import azure.functions as func

from triggers.event import parts, wake

blueprint = func.Blueprint()


@blueprint.function_name("storage_events")
@blueprint.event_grid_trigger(arg_name="event")
def storage_events(event: func.EventGridEvent) -> None:
    """Wake the loop whose folder the blob is in."""
    from services import hints, wiring

    loop = hints.loop_of_storage_event(*parts(event), wiring.settings().data_container)
    wake(loop, "a blob changed", event)
