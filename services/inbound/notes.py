"""What a labelling tool announced and could not be taken: a blob each, which the controller tells and shows.

`inbound-problems/<loop>/<source>-<key>.json` is written by whoever works on the message and deleted once it worked.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from services.cloud.ports.storage import BlobInfo, BlobStore
from services.state import Problem

FOLDER = "inbound-problems/"
MESSAGES = "messages"
"""The key of what Label Studio's messages lack: the newest for all, as the next one that is taken ends it."""
MOST_SHOWN = 20
"""Problems of one message that are kept."""


class Note(BaseModel):
    """One message's problems; `reason` is a sentence for people."""

    source: str
    reason: str
    problems: list[Problem]


class Notes:
    """The notes of all loops."""

    def __init__(self, system: BlobStore) -> None:
        """`system` is the container that only we write."""
        self._system = system

    def put(self, loop: str, key: str, note: Note) -> None:
        """Keep what is wrong, in place of what was."""
        kept = note.model_copy(update={"problems": note.problems[:MOST_SHOWN]})
        self._system.write(_name(loop, note.source, key), kept.model_dump_json().encode())

    def clear(self, loop: str, source: str, key: str) -> None:
        """Forget what was wrong; nothing is fine too."""
        self._system.delete(_name(loop, source, key))

    def forget(self, loop: str, source: str) -> None:
        """Forget all of a source."""
        for blob in [*self._system.list(f"{FOLDER}{loop}/{source}-")]:
            self._system.delete(blob.name)

    def list(self, loop: str) -> Iterator[BlobInfo]:
        """The notes of a loop."""
        return self._system.list(f"{FOLDER}{loop}/")

    def read(self, name: str) -> Note:
        """One of them.

        Raises:
            NotFound: it was forgotten meanwhile.
        """
        return Note.model_validate_json(self._system.read(name).data)


def _name(loop: str, source: str, key: str) -> str:
    return f"{FOLDER}{loop}/{source}-{key}.json"
