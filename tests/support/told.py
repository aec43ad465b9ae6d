"""Holds what the product tells against the schemas that it publishes, and here nothing beside them is allowed."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from services.context import LoopContext
from services.state import Event
from services.webhooks.schemas import schema


def _close(part: Any) -> None:
    """Published schemas let unknown members through, so that some can be added; a test must not."""
    if isinstance(part, dict):
        if "properties" in part:
            part.setdefault("additionalProperties", False)
        for each in part.values():
            _close(each)
    elif isinstance(part, list):
        for each in part:
            _close(each)


@cache
def closed(event_type: str) -> Draft202012Validator:
    """What checks the data of a type."""
    found = copy.deepcopy(schema(event_type))
    _close(found)
    return Draft202012Validator(found, format_checker=Draft202012Validator.FORMAT_CHECKER)


def wrong(event: Event) -> list[str]:
    """What of an event is not as its schema says."""
    data = event.model_dump(mode="json")["data"]
    return [
        f"{event.type}{error.json_path.removeprefix('$')}: {error.message}"
        for error in closed(event.type).iter_errors(data)
    ]


@contextmanager
def held_to_schemas(kinds: set[str] | None = None) -> Iterator[None]:
    """Everything that the product's own code tells is checked as it is told; its kinds are noted in `kinds`."""
    tell = LoopContext.tell

    def checked(self: LoopContext, kind: str, reason: str, **data: Any) -> None:
        tell(self, kind, reason, **data)
        if sys._getframe(1).f_globals["__name__"].startswith("services."):
            found = wrong(self.state.outbox[-1])
            assert not found, found
            if kinds is not None:
                kinds.add(kind)

    LoopContext.tell = checked  # type: ignore[method-assign]
    try:
        yield
    finally:
        LoopContext.tell = tell  # type: ignore[method-assign]
