"""The client keys of a loop: `access/<loop>.json` in the system container, changed by compare-and-set."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from services.access import secret
from services.cloud.ports.storage import BlobStore
from services.errors import ChangedMeanwhile, Conflict, NotFound

MOST_KEYS = 100
MOST_OLD = 3
MOST_OVERLAP_HOURS = 7 * 24
_TRIES = 8
Scope = Literal["predict", "label", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
Name = Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Quota = Annotated[int, Field(ge=1, le=1_000_000_000)]


def keys_blob(loop: str) -> str:
    """Where the keys of a loop are."""
    return f"access/{loop}.json"


class NewKey(BaseModel):
    """What is asked for; without a quota a key has none."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    scopes: list[Scope] = Field(default=["predict"], min_length=1, max_length=len(SCOPES))
    """`admin` holds the others too."""
    per_minute: Quota | None = None
    """Requests of a minute in each process, all of which may come at once."""
    per_day: Quota | None = None
    """Requests of a day, in UTC, in all processes."""


class Rotation(BaseModel):
    """How a key is rotated; all of it may be left out."""

    model_config = ConfigDict(extra="forbid")

    overlap_hours: Annotated[float, Field(ge=0, le=MOST_OVERLAP_HOURS)] = 24
    """So long the secret before is good too; 0 where it has leaked."""


class Old(BaseModel):
    """A secret that was replaced, as its hash."""

    hash: str
    until: datetime


class Key(NewKey):
    """A key as it is kept."""

    model_config = ConfigDict(extra="ignore")

    id: str
    hash: str
    old: list[Old] = Field(default_factory=list)
    created: datetime
    rotated: datetime | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether the key is for this."""
        return scope in self.scopes or "admin" in self.scopes

    def opened_by(self, given: str, now: datetime) -> bool:
        """Whether a secret is the key's, or was and still is good. The time it takes tells nothing of the secret."""
        found = secret.digest(given)
        good = [self.hash, *(old.hash for old in self.old if now < old.until)]
        return any([hmac.compare_digest(found, one) for one in good])  # noqa: C419  # all are compared

    def shown(self) -> dict[str, object]:
        """Without anything of its secrets."""
        return self.model_dump(mode="json", exclude={"hash", "old"})


class KeyDocument(BaseModel):
    """All keys of a loop, the oldest first."""

    keys: list[Key] = Field(default_factory=list)


class Keys:
    """Makes, changes and forgets keys."""

    def __init__(self, system: BlobStore, clock: Callable[[], datetime]) -> None:
        """`system` is the container that only we write."""
        self._system, self._clock = system, clock

    def list(self, loop: str) -> list[Key]:
        """All keys of a loop, the oldest first."""
        return self._read(loop)[0].keys

    def add(self, loop: str, asked: NewKey) -> tuple[Key, str]:
        """A new key, and its text, which is kept nowhere.

        Raises:
            Conflict: there are too many.
        """
        made = secret.new_secret()
        named = {"id": secret.new_id(), "hash": secret.digest(made), "created": self._clock()}
        key = Key(**{**asked.model_dump(), "scopes": [s for s in SCOPES if s in asked.scopes]}, **named)

        def append(document: KeyDocument) -> None:
            if len(document.keys) >= MOST_KEYS:
                raise Conflict(f"{loop} has {MOST_KEYS} keys already: remove one first")
            document.keys.append(key)

        self._change(loop, append)
        return key, secret.text(key.id, made)

    def rotate(self, loop: str, key_id: str, asked: Rotation) -> tuple[Key, str]:
        """Give a key a new secret; the one before is good beside it for a while. The text is kept nowhere.

        Raises:
            NotFound: there is none.
        """
        now, made = self._clock(), secret.new_secret()
        until = now + timedelta(hours=asked.overlap_hours)
        changed: list[Key] = []

        def replace(document: KeyDocument) -> None:
            key = _one(document, key_id)
            # a rotation without overlap is for a leak, which may be of any secret before
            older = [Old(hash=o.hash, until=min(o.until, until)) for o in key.old]
            key.old = [o for o in (Old(hash=key.hash, until=until), *older) if now < o.until][:MOST_OLD]
            key.hash, key.rotated = secret.digest(made), now
            changed[:] = [key]

        self._change(loop, replace)
        return changed[0], secret.text(key_id, made)

    def remove(self, loop: str, key_id: str) -> None:
        """Forget a key: within seconds no process takes it any more.

        Raises:
            NotFound: there is none.
        """
        self._change(loop, lambda document: document.keys.remove(_one(document, key_id)))

    def _read(self, loop: str) -> tuple[KeyDocument, str]:
        try:
            blob = self._system.read(keys_blob(loop))
        except NotFound:
            return KeyDocument(), ""
        return KeyDocument.model_validate_json(blob.data), blob.etag

    def _change(self, loop: str, change: Callable[[KeyDocument], None]) -> None:
        for _ in range(_TRIES):
            document, etag = self._read(loop)
            change(document)
            data = document.model_dump_json(indent=1).encode()
            try:
                self._system.write(keys_blob(loop), data, etag=etag or None, create=not etag)
            except ChangedMeanwhile:
                continue
            return
        raise ChangedMeanwhile(f"The keys of {loop} are being changed by others; try again")


def _one(document: KeyDocument, key_id: str) -> Key:
    for key in document.keys:
        if key.id == key_id:
            return key
    raise NotFound(f"There is no key {key_id[:60]}")
