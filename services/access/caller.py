"""Who asked, in what is kept of an order: the holder of a key says a name, and we which key it was."""

from __future__ import annotations

from services.commands import read_asked

_MOST_SAID = 300


def order_of(who: str, body: bytes) -> bytes:
    """The body of an order with `by` completed; `who` is what `Door.admit` returned.

    Raises:
        BadRequest, TooLarge: it is no such body.
    """
    asked = read_asked(body)
    said, proven = asked.by.strip()[:_MOST_SAID], who if ":" in who else f"key {who}"
    return asked.model_copy(update={"by": f"{said} ({proven})" if said else proven}).model_dump_json().encode()
