"""Who is told of what: `deliveries/endpoints.json` in the system container, changed by compare-and-set."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from services.cloud.ports.storage import BlobStore
from services.errors import ChangedMeanwhile, Conflict, NotFound
from services.members import read_members
from services.webhooks.endpoint import Changes, Endpoint, NewEndpoint
from services.webhooks.guard import Guard
from services.webhooks.signing import new_secret

FILE = "deliveries/endpoints.json"
MOST_ENDPOINTS = 100
OVERLAP = timedelta(hours=24)
_TRIES = 8
PENDING = "it has not agreed by CloudEvents' handshake yet"
UNASKED: Mapping[str, Any] = {"agreed": None, "per_minute": None, "waiting_until": None, "asked_hash": ""}
ASKING: Mapping[str, Any] = {**UNASKED, "enabled": False, "disabled_reason": PENDING}


class _Document(BaseModel):
    endpoints: list[Endpoint] = Field(default_factory=list)


class Registry:
    """All receivers."""

    def __init__(
        self, system: BlobStore, clock: Callable[[], datetime], guard: Guard, topic: Endpoint | None = None
    ) -> None:
        """`guard` says which addresses may be receivers, `topic` is told too."""
        self.system, self._clock, self._guard = system, clock, guard
        self._topic = [topic] if topic else []

    def list(self) -> list[Endpoint]:
        """All of them, the topic of the settings first and then the oldest."""
        return [*self._topic, *self._read()[0].endpoints]

    def get(self, endpoint_id: str) -> Endpoint:
        """One of them.

        Raises:
            NotFound: there is none.
        """
        if self._is_topic(endpoint_id):
            return self._topic[0]
        for endpoint in self._read()[0].endpoints:
            if endpoint.id == endpoint_id:
                return endpoint
        raise NotFound(f"There is no webhook {endpoint_id[:60]}")

    def receiving(self, endpoint_id: str) -> Endpoint:
        """One of them that is told something.

        Raises:
            Conflict: it is disabled.
            NotFound: there is none.
        """
        found = self.get(endpoint_id)
        if not found.enabled:
            raise Conflict(
                f"The webhook is disabled: {found.disabled_reason or 'as it was asked for'}. Nothing is sent to it "
                'before PATCH with {"enabled": true}'
            )
        return found

    def _is_topic(self, endpoint_id: str) -> bool:
        return any(topic.id == endpoint_id for topic in self._topic)

    def _check_ours(self, endpoint_id: str) -> None:
        if self._is_topic(endpoint_id):
            raise Conflict("The topic of Event Grid is set by the app's settings, and changed there")

    def add(self, asked: object) -> Endpoint:
        """Register a receiver; one with a handshake is disabled until it has agreed.

        Raises:
            BadRequest: saying which member is wrong.
            Conflict: there are too many.
        """
        found = read_members(NewEndpoint, asked)
        self._guard.check(found.url)
        named = {"id": f"ep_{secrets.token_hex(8)}", "secret": new_secret(), "created": self._clock()}
        endpoint = Endpoint(**found.model_dump(), **named, **(ASKING if found.handshake else {}))

        def append(document: _Document) -> None:
            if len(document.endpoints) >= MOST_ENDPOINTS:
                raise Conflict(f"There are {MOST_ENDPOINTS} webhooks already: remove one first")
            document.endpoints.append(endpoint)

        self._change(append)
        return endpoint

    def remove(self, endpoint_id: str) -> None:
        """Forget a receiver.

        Raises:
            Conflict: it is the topic of the settings.
            NotFound: there is none.
        """
        self._check_ours(endpoint_id)

        def drop(document: _Document) -> None:
            kept = [e for e in document.endpoints if e.id != endpoint_id]
            if len(kept) == len(document.endpoints):
                raise NotFound(f"There is no webhook {endpoint_id[:60]}")
            document.endpoints = kept

        self._change(drop)

    def update(self, endpoint_id: str, asked: object) -> Endpoint:
        """Change a receiver; enabling one again forgets its failures, and with a handshake it has to agree again.

        Raises:
            BadRequest: saying which member is wrong.
            Conflict: it is the topic of the settings.
            NotFound: there is none.
        """
        self._check_ours(endpoint_id)
        changes = read_members(Changes, asked).members()
        kept = {name: value for name, value in changes.items() if name != "enabled"}
        old = self.get(endpoint_id)
        read_members(NewEndpoint, {**{name: getattr(old, name) for name in NewEndpoint.model_fields}, **kept})
        if "url" in kept:
            self._guard.check(kept["url"])
            changes |= {"failing_since": None}
        if changes.get("enabled"):
            changes |= {"disabled_reason": "", "failing_since": None}
        return self._set(endpoint_id, {**changes, **_asking(old, changes)})

    def rotate(self, endpoint_id: str) -> Endpoint:
        """Give a receiver a new secret; the old one signs beside it for a day.

        Raises:
            Conflict: it is the topic of the settings, to which nothing is signed.
            NotFound: there is none.
        """
        self._check_ours(endpoint_id)
        now, made = self._clock(), new_secret()
        return self.settle(endpoint_id, lambda endpoint: endpoint.rotate(made, now, now + OVERLAP))

    def disable(self, endpoint_id: str, reason: str, seen: Endpoint | None = None) -> None:
        """Tell a receiver nothing more; not one that was moved, or enabled again, since it was `seen`."""

        def change(now: Endpoint) -> None:
            if seen is None or _is_same(now, seen):
                now.enabled, now.disabled_reason = False, reason

        with suppress(NotFound):
            self.settle(endpoint_id, change)

    def settle(self, endpoint_id: str, change: Callable[[Endpoint], None]) -> Endpoint:
        """Change a receiver in one step with what it is by then.

        Raises:
            NotFound: there is no such receiver any more.
        """
        changed: list[Endpoint] = []

        def settled(document: _Document) -> None:
            changed[:] = [e for e in document.endpoints if e.id == endpoint_id]
            for endpoint in changed:
                change(endpoint)

        self._change(settled)
        if not changed:
            raise NotFound(f"There is no webhook {endpoint_id[:60]}")
        return changed[0]

    def failing(self, seen: Endpoint, since: datetime | None) -> None:
        """Note since when a receiver has failed, or that it does no longer, unless it was moved or enabled since."""

        def change(now: Endpoint) -> None:
            if _is_same(now, seen):
                now.failing_since = since

        with suppress(NotFound):
            self.settle(seen.id, change)

    def _set(self, endpoint_id: str, values: Mapping[str, object]) -> Endpoint:
        def change(endpoint: Endpoint) -> None:
            for name, value in values.items():
                setattr(endpoint, name, value)

        return self.settle(endpoint_id, change)

    def _read(self) -> tuple[_Document, str]:
        try:
            blob = self.system.read(FILE)
        except NotFound:
            return _Document(), ""
        return _Document.model_validate_json(blob.data), blob.etag

    def _change(self, change: Callable[[_Document], None]) -> None:
        for _ in range(_TRIES):
            document, etag = self._read()
            before = document.model_copy(deep=True)
            change(document)
            if document == before:
                return  # a write of nothing would keep others from theirs
            data = document.model_dump_json(indent=1).encode()
            try:
                self.system.write(FILE, data, etag=etag or None, create=not etag)
            except ChangedMeanwhile:
                continue
            return
        raise ChangedMeanwhile("The list of webhooks is being changed by others; try again")


def _is_same(now: Endpoint, seen: Endpoint) -> bool:
    """Whether what was found out about a receiver is still about it: an attempt takes long, and people act."""
    return (now.url, now.failing_since) == (seen.url, seen.failing_since)


def _asking(old: Endpoint, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a change means for an agreement: whether there has to be another, or none any more."""
    if not old.handshake and not changes.get("handshake"):
        return {}
    if changes.get("enabled") is False:  # whatever it may still answer
        return {"waiting_until": None, "asked_hash": "", "disabled_reason": ""}
    if not changes.get("handshake", old.handshake):
        return UNASKED
    is_freed = "rate" in changes and changes["rate"] is None and old.rate is not None
    if not is_freed and not any(changes.get(name) for name in ("url", "handshake", "enabled", "rate")):
        return {}
    is_off = not (old.enabled or old.disabled_reason or changes.get("enabled"))
    return UNASKED if is_off else ASKING
