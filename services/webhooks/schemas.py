"""One JSON Schema for the data of each kind of event: https://json-schema.org/draft/2020-12.

They are open: a receiver has to expect members that it does not know. Members are never taken away or changed; an
event that could not keep to this would get another type.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from services.errors import NotFound
from services.webhooks.data import DATA
from services.webhooks.kinds import KINDS, PREFIX

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PLACE = "/api/schemas"
Shape = dict[str, Any]


def address(public_url: str, event_type: str) -> str | None:
    """Where the schema of a type is served: absolute, as CloudEvents asks; None where the app has no address."""
    return f"{public_url.rstrip('/')}{PLACE}/{event_type}" if public_url else None


@cache
def schema(event_type: str) -> Shape:
    """The schema of a type; its prefix may be left out.

    Raises:
        NotFound: there is no such type.
    """
    kind = event_type.removeprefix(PREFIX)
    if kind not in DATA:
        raise NotFound(f"There is no event {event_type[:60]!r}; GET {PLACE} lists those that there are")
    found: Shape = TypeAdapter(DATA[kind]).json_schema(mode="serialization")
    return {**found, "$schema": DIALECT, "title": f"{PREFIX}{kind}", "description": KINDS[kind]}


def listed() -> Shape:
    """Every type with where its schema is, below the app's address."""
    shown = [{"type": f"{PREFIX}{k}", "summary": said, "schema": f"{PLACE}/{PREFIX}{k}"} for k, said in KINDS.items()]
    return {"schemas": shown}


def components(before: str) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """The same for a larger document, where `before` stands before the names of parts: by kind, and the parts."""
    adapters = [(kind, "serialization", TypeAdapter(told)) for kind, told in DATA.items()]
    found, top = TypeAdapter.json_schemas(adapters, ref_template=f"{before}{{model}}")  # type: ignore[arg-type]
    return {str(kind): shape for (kind, _), shape in found.items()}, top.get("$defs", {})
