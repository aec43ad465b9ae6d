"""Which systems may send: `inbound/sources.json` in the system container."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.access.keys import Rotation
from services.cloud.ports.storage import BlobStore
from services.errors import BadRequest, Conflict, NotFound
from services.inbound.documents import change, read
from services.inbound.kept import Kept
from services.inbound.notes import Notes
from services.members import read_members
from services.names import check_loop_name
from services.state_store import StateStore
from services.webhooks.guard import Guard
from services.webhooks.signing import Signing, new_secret

FILE = "inbound/sources.json"
MOST_SOURCES = 100
MOST_BYTES = 8 * 1024
Kind = Literal["generic", "label_studio", "cvat"]


class NewSource(BaseModel):
    """What is asked for."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    loop: Annotated[str, Field(max_length=60)]
    """Whose images and labels it sends."""
    description: Annotated[str, Field(max_length=200)] = ""
    address: Annotated[str, Field(max_length=1000)] = ""
    """Of CVAT: the server that its jobs are looked up at."""
    token: Annotated[str, Field(max_length=500, pattern=r"^[!-~]*$")] = ""
    """Of CVAT: what we show there; kept as the secret is."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.address) != bool(self.token) or (self.address and self.kind != "cvat"):
            raise ValueError("address and token are of the kind cvat, and belong together")
        return self


class Changes(BaseModel):
    """What may be changed of a source, as tokens expire; what is left out stays, null is as if it was never given."""

    model_config = ConfigDict(extra="forbid")

    description: str | None = None
    address: str | None = None
    token: str | None = None

    def members(self) -> dict[str, str]:
        """Those that are given, and no token without an address to show it at."""
        given = {name: value or "" for name, value in self.model_dump(exclude_unset=True).items()}
        return ({"token": ""} if given.get("address") == "" else {}) | given


class Source(NewSource, Signing):
    """A system that may send. Its secret leaves our storage only in the answer that makes it, its token never."""

    model_config = ConfigDict(extra="ignore")

    id: str
    created: datetime

    def shown(self) -> dict[str, Any]:
        """Without the secret, with the path that it sends to."""
        return {
            **self.model_dump(mode="json", exclude={"secret", "old_secrets", "token"}),
            "path": f"/api/inbound/{self.id}/events",
        }


class _Document(BaseModel):
    sources: list[Source] = Field(default_factory=list)


class Sources:
    """All of them."""

    def __init__(self, system: BlobStore, states: StateStore, clock: Callable[[], datetime], guard: Guard) -> None:
        """`states` says which loops there are, `guard` which addresses may be asked."""
        self._system, self._states, self._clock, self._guard = system, states, clock, guard

    def list(self) -> dict[str, Any]:
        """All of them, oldest first, without secrets."""
        return {"sources": [source.shown() for source in self._read()]}

    def all(self) -> Sequence[Source]:
        """The same, with secrets."""
        return self._read()

    def get(self, source_id: str) -> Source:
        """One of them.

        Raises:
            NotFound: there is none.
        """
        found = next((source for source in self._read() if source.id == source_id), None)
        if found is None:
            raise NotFound(f"There is no inbound source {source_id[:60]}")
        return found

    def register(self, body: bytes) -> dict[str, Any]:
        """Let a system send; the answer is the only place where its secret is shown.

        Raises:
            BadRequest: saying which member is wrong.
            NotFound: there is no such loop.
            Conflict: there are too many.
        """
        asked = read_members(NewSource, _json(body))
        self._states.read(check_loop_name(asked.loop))
        if asked.address:
            self._guard.check(asked.address)
        named = {"id": f"in_{secrets.token_hex(8)}", "secret": new_secret(), "created": self._clock()}
        source = Source(**asked.model_dump(), **named)

        def append(document: _Document) -> None:
            if len(document.sources) >= MOST_SOURCES:
                raise Conflict(f"There are {MOST_SOURCES} inbound sources already: remove one first")
            document.sources.append(source)

        change(self._system, FILE, _Document, append)
        return {**source.shown(), "secret": source.secret}

    def update(self, source_id: str, body: bytes) -> dict[str, Any]:
        """Change what a source is asked with; its secret and path stay.

        Raises:
            BadRequest: saying which member is wrong.
            NotFound: there is no such source.
        """
        changes = read_members(Changes, _json(body)).members()
        old = self.get(source_id).model_dump(include={*NewSource.model_fields})
        if changes.get("address", old["address"]) != old["address"] and "token" not in changes:
            raise BadRequest("token: it is expected with another address, as the old one is not to be shown there")
        asked = read_members(NewSource, old | changes)
        if asked.address:
            self._guard.check(asked.address)
        shown: list[dict[str, Any]] = []

        def set_members(document: _Document) -> None:
            shown[:] = []
            for source in document.sources:
                if source.id == source_id:
                    for name, value in changes.items():
                        setattr(source, name, value)
                    shown.append(source.shown())

        change(self._system, FILE, _Document, set_members)
        if not shown:
            raise NotFound(f"There is no inbound source {source_id[:60]}")
        return shown[0]

    def rotate(self, source_id: str, body: bytes) -> dict[str, Any]:
        """Give a source a new secret, shown here only; the one before is good beside it for a while.

        Raises:
            BadRequest: saying which member is wrong.
            NotFound: there is no such source.
        """
        asked, now, made = read_members(Rotation, _json(body) if body.strip() else {}), self._clock(), new_secret()
        until = now + timedelta(hours=asked.overlap_hours)
        rotated: list[Source] = []

        def replace(document: _Document) -> None:
            rotated[:] = [source for source in document.sources if source.id == source_id]
            for source in rotated:
                source.rotate(made, now, until)

        change(self._system, FILE, _Document, replace)
        if not rotated:
            raise NotFound(f"There is no inbound source {source_id[:60]}")
        return {**rotated[0].shown(), "secret": made}

    def remove(self, source_id: str) -> None:
        """Take nothing more from a system; what it sent stays, what of it could not be taken is forgotten.

        Raises:
            NotFound: there is none.
        """
        loop = self.get(source_id).loop

        def drop(document: _Document) -> None:
            document.sources = [source for source in document.sources if source.id != source_id]

        change(self._system, FILE, _Document, drop)
        Kept(self._system).forget(source_id)
        Notes(self._system).forget(loop, source_id)

    def _read(self) -> Sequence[Source]:
        return read(self._system, FILE, _Document)[0].sources


def _json(body: bytes) -> object:
    if len(body) > MOST_BYTES:
        raise BadRequest(f"The body has more than {MOST_BYTES} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest('The body must be JSON, such as {"kind": "label_studio", "loop": "cards"}') from None
