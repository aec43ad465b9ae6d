"""What people do with client keys over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from services.access.keys import Key, Keys, NewKey, Rotation
from services.access.usage import Usage, Used
from services.errors import BadRequest
from services.members import read_members
from services.names import check_loop_name

Asked = TypeVar("Asked", bound=BaseModel)


class KeyConsole:
    """Make, list, rotate and remove."""

    def __init__(
        self, keys: Keys, usage: Usage, loop_exists: Callable[[str], object], clock: Callable[[], datetime]
    ) -> None:
        """`loop_exists` raises NotFound where there is no such loop."""
        self._keys, self._usage, self._loop_exists, self._clock = keys, usage, loop_exists, clock

    def add(self, loop: str, body: bytes) -> dict[str, Any]:
        """Make a key; the answer is the only place where it is shown.

        Raises:
            BadRequest: saying what is wrong.
            NotFound: there is no such loop.
            Conflict: it has too many keys.
        """
        asked = _read(NewKey, body)
        self._check(loop)
        return _told(*self._keys.add(loop, asked))

    def list(self, loop: str) -> dict[str, Any]:
        """All keys with what was asked by them, and the identities that asked.

        Raises:
            BadRequest, NotFound: there is no such loop.
        """
        self._check(loop)
        used = self._usage.read(loop, self._clock().date())
        keys = [_shown(key, used.pop(key.id, Used())) for key in self._keys.list(loop)]
        others = [{"id": who, **one.model_dump(mode="json")} for who, one in sorted(used.items())]
        return {"loop": loop, "keys": keys, "others": others}

    def rotate(self, loop: str, key_id: str, body: bytes) -> dict[str, Any]:
        """Give a key a new secret, which is shown here only.

        Raises:
            BadRequest: saying what is wrong.
            NotFound: there is no such loop or key.
        """
        asked = _read(Rotation, body)
        self._check(loop)
        return _told(*self._keys.rotate(loop, key_id, asked))

    def remove(self, loop: str, key_id: str) -> None:
        """Forget a key.

        Raises:
            BadRequest, NotFound: there is no such loop or key.
        """
        self._check(loop)
        self._keys.remove(loop, key_id)

    def _check(self, loop: str) -> None:
        self._loop_exists(check_loop_name(loop))


def _told(key: Key, text: str) -> dict[str, Any]:
    return {**key.shown(), "key": text}


def _shown(key: Key, used: Used) -> dict[str, Any]:
    return {**key.shown(), **used.model_dump(mode="json")}


def _read(kind: type[Asked], body: bytes) -> Asked:
    try:
        asked = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise BadRequest("The body must be JSON, or empty") from None
    return read_members(kind, asked)
