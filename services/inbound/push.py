"""Images and labels that the holder of a client key sends for its loop; what proves it is the key."""

from __future__ import annotations

from typing import Any

from services.cloud.ports.storage import BlobStore
from services.inbound.generic import files_of, write_files
from services.names import check_loop_name
from services.settings import Settings
from services.state_store import StateStore


class Push:
    """Writes files of loops that are there. What is sent twice is written twice, and is the same."""

    def __init__(self, data: BlobStore, states: StateStore, settings: Settings) -> None:
        """`data` is the container of users' files."""
        self._data, self._states, self._settings = data, states, settings

    def take(self, loop: str, body: bytes) -> dict[str, Any]:
        """Take one message, as `generic.Message` describes; nothing is written before all of it was looked at.

        Raises:
            BadRequest: saying which member is wrong.
            NotFound: there is no such loop, and a key or role makes none.
            TooLarge: over a limit of the settings.
        """
        self._states.read(check_loop_name(loop))
        files = write_files(self._data, loop, files_of(body, self._settings))
        return {"taken": True, "files": files, "says": ""}
