"""Reads what a request asks for into a model, and says in a sentence what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.errors import BadRequest

Asked = TypeVar("Asked", bound=BaseModel)


def read_members(kind: type[Asked], asked: object) -> Asked:
    """What was asked for, from JSON that was read.

    Raises:
        BadRequest: saying which member is wrong.
    """
    return _told(kind, lambda: kind.model_validate(asked))


def read_body(kind: type[Asked], body: bytes, *, such_as: str) -> Asked:
    """The same from JSON; `such_as` is a body that is right.

    Raises:
        BadRequest: as above, with that body.
    """
    try:
        return _told(kind, lambda: kind.model_validate_json(body))
    except BadRequest as error:
        raise BadRequest(f"{error.detail}; such as {such_as}") from None


def _told(kind: type[Asked], read: Callable[[], Asked]) -> Asked:
    try:
        return read()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadRequest(_sentence(kind, first["loc"], first["type"], first["msg"])) from None


def _sentence(kind: type[BaseModel], place: tuple[Any, ...], wrong: str, said: str) -> str:
    """In words of whoever sent it: pydantic's own name classes of ours, and tell no names that there are."""
    where = ".".join(map(str, place)) or "The body"
    if wrong == "json_invalid":
        return f"{where}: it is not JSON"
    if wrong in ("model_type", "dict_type", "model_attributes_type"):
        return f"{where}: a JSON object is expected"
    if wrong == "missing":
        return f"{where}: it is missing"
    if wrong == "extra_forbidden":
        known = f"; there are {', '.join(kind.model_fields)}" if len(place) == 1 else ""
        return f"{where}: there is no such member{known}"
    said = said.removeprefix("Value error, ").replace("Input should", "it should").replace(" after validation", "")
    return f"{where}: {said}"
