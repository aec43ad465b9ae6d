"""Events come in Event Grid's schema or as CloudEvents, whatever the annotation says."""

from __future__ import annotations

import azure.functions as func


def parts(event: object) -> tuple[str, str, object]:
    """Type, subject and data of an event in either schema; what is missing is empty."""
    if isinstance(event, func.EventGridEvent):
        return str(event.event_type or ""), str(event.subject or ""), event.get_json()
    data = getattr(event, "data", None)
    return str(getattr(event, "type", "") or ""), str(getattr(event, "subject", "") or ""), data
