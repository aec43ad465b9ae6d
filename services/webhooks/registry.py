"""Who is told of what: `deliveries/endpoints.json` in the system container, changed by compare-and-set."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from services.cloud.ports import BlobStore
from services.errors import BadRequest, ChangedMeanwhile, Conflict, NotFound
from services.names import check_loop_name
from services.state import Event
from services.webhooks.guard import Guard
from services.webhooks.kinds import KINDS, is_pattern, matches

FILE = "deliveries/endpoints.json"
SECRET_BYTES = 32
MOST_ENDPOINTS = 100
_TRIES = 8
Text = Annotated[str, Field(max_length=200)]


class NewEndpoint(BaseModel):
    """What is asked for; empty lists mean everything."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=2000)]
    events: list[Text] = Field(default_factory=list, max_length=50)
    """Patterns of event types without their prefix, such as `training.*`."""
    loops: list[Text] = Field(default_factory=list, max_length=100)
    description: Text = ""

    @field_validator("events")
    @classmethod
    def _fire(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            if not is_pattern(pattern):
                raise ValueError(f"{pattern!r} is about no event; there are {', '.join(KINDS)}")
        return patterns

    @field_validator("loops")
    @classmethod
    def _are_loops(cls, names: list[str]) -> list[str]:
        try:
            return [check_loop_name(name) for name in names]
        except BadRequest as error:
            raise ValueError(error.detail) from None


class Endpoint(NewEndpoint):
    """A registered receiver. `secret` never leaves the system container but in the answer to its registration."""

    model_config = ConfigDict(extra="ignore")

    id: str
    secret: str
    created: datetime
    enabled: bool = True
    disabled_reason: str = ""

    def wants(self, event: Event) -> bool:
        """Whether the event is for this receiver."""
        in_loop = not self.loops or event.data.get("loop") in self.loops
        return self.enabled and in_loop and (not self.events or any(matches(p, event.type) for p in self.events))

    def shown(self) -> dict[str, object]:
        """Without the secret."""
        return self.model_dump(mode="json", exclude={"secret"})


class _Document(BaseModel):
    endpoints: list[Endpoint] = Field(default_factory=list)


class Registry:
    """All receivers."""

    def __init__(self, system: BlobStore, clock: Callable[[], datetime], guard: Guard) -> None:
        """`guard` says which addresses may be receivers."""
        self._system, self._clock, self._guard = system, clock, guard

    def list(self) -> list[Endpoint]:
        """All of them, oldest first."""
        return self._read()[0].endpoints

    def get(self, endpoint_id: str) -> Endpoint:
        """One of them.

        Raises:
            NotFound: there is none.
        """
        for endpoint in self._read()[0].endpoints:
            if endpoint.id == endpoint_id:
                return endpoint
        raise NotFound(f"There is no webhook {endpoint_id[:60]}")

    def add(self, asked: object) -> Endpoint:
        """Register a receiver.

        Raises:
            BadRequest: saying which member is wrong.
            Conflict: there are too many.
        """
        found = _read_asked(asked)
        self._guard.check(found.url)
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        endpoint = Endpoint(**found.model_dump(), id=f"ep_{secrets.token_hex(8)}", secret=secret, created=self._clock())

        def append(document: _Document) -> None:
            if len(document.endpoints) >= MOST_ENDPOINTS:
                raise Conflict(f"There are {MOST_ENDPOINTS} webhooks already: remove one first")
            document.endpoints.append(endpoint)

        self._change(append)
        return endpoint

    def remove(self, endpoint_id: str) -> None:
        """Forget a receiver.

        Raises:
            NotFound: there is none.
        """

        def drop(document: _Document) -> None:
            kept = [e for e in document.endpoints if e.id != endpoint_id]
            if len(kept) == len(document.endpoints):
                raise NotFound(f"There is no webhook {endpoint_id[:60]}")
            document.endpoints = kept

        self._change(drop)

    def disable(self, endpoint_id: str, reason: str) -> None:
        """Tell a receiver nothing more."""

        def mark(document: _Document) -> None:
            for endpoint in document.endpoints:
                if endpoint.id == endpoint_id:
                    endpoint.enabled, endpoint.disabled_reason = False, reason

        self._change(mark)

    def _read(self) -> tuple[_Document, str]:
        try:
            blob = self._system.read(FILE)
        except NotFound:
            return _Document(), ""
        return _Document.model_validate_json(blob.data), blob.etag

    def _change(self, change: Callable[[_Document], None]) -> None:
        for _ in range(_TRIES):
            document, etag = self._read()
            change(document)
            data = document.model_dump_json(indent=1).encode()
            try:
                self._system.write(FILE, data, etag=etag or None, create=not etag)
            except ChangedMeanwhile:
                continue
            return
        raise ChangedMeanwhile("The list of webhooks is being changed by others; try again")


def _read_asked(asked: object) -> NewEndpoint:
    try:
        return NewEndpoint.model_validate(asked)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "The body"
        raise BadRequest(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
