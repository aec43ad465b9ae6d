"""Who is told of what: `deliveries/endpoints.json` in the system container, changed by compare-and-set."""

from __future__ import annotations

import base64
import fnmatch
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.cloud.ports import BlobStore
from services.errors import BadRequest, ChangedMeanwhile, Conflict, NotFound
from services.state import Event

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
        kind = event.type.removeprefix("visionloop.")
        in_loop = not self.loops or event.data.get("loop") in self.loops
        return self.enabled and in_loop and (not self.events or any(fnmatch.fnmatch(kind, p) for p in self.events))

    def shown(self) -> dict[str, object]:
        """Without the secret."""
        return self.model_dump(mode="json", exclude={"secret"})


class _Document(BaseModel):
    endpoints: list[Endpoint] = Field(default_factory=list)


class Registry:
    """All receivers."""

    def __init__(self, system: BlobStore, clock: Callable[[], datetime], *, allow_local: bool) -> None:
        """`allow_local` lets plain http and this machine be receivers, in development."""
        self._system, self._clock, self._allow_local = system, clock, allow_local

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
        try:
            found = NewEndpoint.model_validate(asked)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise BadRequest(f"{'.'.join(map(str, first['loc'])) or 'The body'}: {first['msg']}") from None
        check_url(found.url, allow_local=self._allow_local)
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


def check_url(url: str, *, allow_local: bool) -> None:
    """See that a receiver's address is one that may be called; where it leads is checked at each delivery.

    Raises:
        BadRequest: saying what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadRequest("url: it cannot be read as an address") from None
    if parts.scheme != "https" and not (allow_local and parts.scheme == "http"):
        raise BadRequest("url: it must begin with https://")
    if not host or parts.username or parts.password or parts.fragment:
        raise BadRequest("url: it must name a host, and have no user, password or fragment")
