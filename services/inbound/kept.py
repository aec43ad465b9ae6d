"""Bodies that are kept until they are worked off, and what is known of the work: no death of a process loses one.

`inbound/<source>/bodies/<hash>.json` is the body, `<hash>.tried.json` beside it how often its work began and by when it
has to be over. A body whose time has passed has nobody who works on it: its message was never sent, was lost, or lies
in the poison queue.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from services.cloud.ports.storage import Blob, BlobStore
from services.errors import ChangedMeanwhile
from services.inbound.documents import change, read

GRACE = timedelta(minutes=15)
"""A worker's time for a message, and a queue's to hand one over again after its worker has died."""
LONGEST = timedelta(hours=24)
MOST_AGAIN = 12
"""So often a message is queued again, at distances that double up to LONGEST: some six days."""
_BODY, _TRIED = ".json", ".tried.json"


class Message(BaseModel):
    """A message of the inbound queue."""

    source: str = Field(pattern=r"^in_[0-9a-f]{16}$")
    body: str = Field(pattern=r"^[0-9a-f]{64}$")
    attempt: int = Field(1, ge=1)


class Tried(BaseModel):
    """The work on a body; what is known of one that was kept before says nothing."""

    etag: str = ""
    due: datetime | None = None
    """By when the work is over, or the next attempt has begun."""
    attempt: int = 1
    begun: int = 0
    """Attempts that began since the last that had an end."""
    again: int = 0
    """How often it was queued again because its time had passed."""


class Kept:
    """The bodies of all sources."""

    def __init__(self, system: BlobStore) -> None:
        """`system` is the container that only we write."""
        self._system = system

    def keep(self, source: str, body: bytes) -> Message:
        """Keep a body, one blob for one content."""
        message = Message(source=source, body=key_of(body))
        self._system.write(_blob(message), body)
        return message

    def read(self, message: Message) -> Blob:
        """The body.

        Raises:
            NotFound: it was worked off.
        """
        return self._system.read(_blob(message))

    def begin(self, message: Message, now: datetime) -> tuple[Blob, int]:
        """The body, whose work begins now, and how often it has.

        Raises:
            NotFound: it was worked off.
        """
        blob = self.read(message)

        def begun(tried: Tried) -> None:
            tried.begun += 1
            tried.due = now + GRACE

        return blob, self._change(message, blob.etag, begun).begun

    def wait(self, following: Message, etag: str, until: datetime) -> None:
        """Note that the next attempt at a body was queued for later."""

        def waits(tried: Tried) -> None:
            tried.due, tried.attempt, tried.begun, tried.again = until + GRACE, following.attempt, 0, 0

        self._change(following, etag, waits)

    def drop(self, message: Message) -> None:
        """Keep a body no longer. What is known of it goes first: without it the body is only worked on once more."""
        self._system.delete(_blob(message, _TRIED))
        self._system.delete(_blob(message))

    def forget(self, source: str) -> None:
        """Keep nothing of a source."""
        for blob in [*self._system.list(_folder(source))]:
            self._system.delete(blob.name)

    def overdue(self, source: str, now: datetime) -> Iterator[tuple[Message, Tried]]:
        """The bodies whose time has passed, each noted as queued again; who is told so has to do it.

        What is left of one that was worked off is forgotten.
        """
        listed = {blob.name: blob for blob in self._system.list(_folder(source))}
        for name, blob in listed.items():
            body = name.removesuffix(_TRIED) + _BODY
            if name.endswith(_TRIED) and body not in listed:
                self._system.delete(name)
            elif not name.endswith(_TRIED):
                key = name.rpartition("/")[2].removesuffix(_BODY)
                message = Message(source=source, body=key)
                found = self._again(message, blob.etag, blob.modified, now, known=_blob(message, _TRIED) in listed)
                if found is not None:
                    yield message.model_copy(update={"attempt": found.attempt}), found

    def _again(self, message: Message, etag: str, since: datetime, now: datetime, *, known: bool) -> Tried | None:
        """Most that is found is being worked on: it costs no look where nothing is known of it."""
        if not known and now < since + GRACE:
            return None
        name = _blob(message, _TRIED)
        tried, version = read(self._system, name, Tried)
        tried = _of(tried, etag)
        if now < (tried.due or since + GRACE):
            return None
        tried.again += 1
        tried.due = now + min(LONGEST, GRACE * 2 ** (tried.again - 1))
        try:
            self._system.write(name, tried.model_dump_json().encode(), etag=version or None, create=not version)
        except ChangedMeanwhile:
            return None  # somebody has begun
        return tried

    def _change(self, message: Message, etag: str, do: Callable[[Tried], None]) -> Tried:
        def changed(tried: Tried) -> None:
            now = _of(tried, etag)
            do(now)
            for name in Tried.model_fields:
                setattr(tried, name, getattr(now, name))

        return change(self._system, _blob(message, _TRIED), Tried, changed)


def _of(tried: Tried, etag: str) -> Tried:
    """What is known of the body that has an ETag, which listings have without quotes."""
    plain = etag.strip('"')
    return tried if tried.etag == plain else Tried(etag=plain)


def key_of(body: bytes) -> str:
    """What a message without an id is recognised by."""
    return hashlib.sha256(body).hexdigest()


def _folder(source: str) -> str:
    return f"inbound/{source}/bodies/"


def _blob(message: Message, ending: str = _BODY) -> str:
    return f"{_folder(message.source)}{message.body}{ending}"
