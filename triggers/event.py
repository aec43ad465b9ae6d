"""Events come in Event Grid's schema or as CloudEvents, whatever the annotation says."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def parts(event: object) -> tuple[str, str, object]:
    """Type, subject and data of an event in either schema; what is missing is empty."""
    kind = getattr(event, "event_type", None) or getattr(event, "type", None)
    data = getattr(event, "get_json", None)
    return str(kind or ""), str(getattr(event, "subject", None) or ""), data() if callable(data) else None


def wake(loop: str | None, reason: str, event: object) -> None:
    """Have a loop looked at; an event of nobody's loop is a line in the log, as an error would bring it again."""
    if loop is None:
        kind, subject, _ = parts(event)
        log.info("Nobody's event: type %.100r, subject %.200r", kind, subject)
        return
    from services import wiring

    wiring.waker().wake(loop, reason)
