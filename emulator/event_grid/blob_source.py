"""Follows Azurite's access log, also over a restart, and looks each changed blob up."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.event_grid.events import BlobChange, BlobFacts, Event, cloud_event, read_line
from emulator.event_grid.relay import Relay

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

TOPIC = "blob"
POLL_SECONDS = 0.05
MOST_BYTES = 1 << 20
LOOK_UPS = 8
log = logging.getLogger("event_grid")


class BlobSource:
    """Turns lines of the log into events of the topic `blob`."""

    def __init__(self, relay: Relay, file: Path, service: BlobServiceClient, topic: str) -> None:
        """`topic` is the storage account's resource id, the source that events name."""
        self._relay, self._file, self._service, self._topic = relay, file, service, topic
        self._pool = ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="blob")

    async def run(self) -> None:
        """Read what is new, for ever; the place in the log moves with the events that it gave."""
        while True:
            offset = self._relay.store.number("log_offset")
            text, end = await asyncio.to_thread(_read_lines, self._file, offset)
            if end == offset:
                await asyncio.sleep(POLL_SECONDS)
                continue
            changes = [c for c in map(read_line, text.splitlines()) if c is not None and self._wanted(c)]
            sequence = self._relay.store.number("sequence")
            events = await self._events(changes, sequence)
            self._relay.take(TOPIC, events, {"log_offset": end, "sequence": sequence + len(changes)})

    def _wanted(self, change: BlobChange) -> bool:
        """Whether anybody subscribes to that place: a look costs a request."""
        return any(
            s.topic == TOPIC and change.subject.startswith(s.subject_begins_with) for s in self._relay.subscriptions
        )

    async def _events(self, changes: list[BlobChange], sequence: int) -> list[Event]:
        loop = asyncio.get_running_loop()
        looks = [loop.run_in_executor(self._pool, self._look, change) for change in changes]
        facts = await asyncio.gather(*looks)
        pairs = zip(changes, facts, strict=True)
        return [cloud_event(c, f, sequence + n, self._topic) for n, (c, f) in enumerate(pairs, 1) if f is not None]

    def _look(self, change: BlobChange) -> BlobFacts | None:
        """What the blob is now; one that is gone again tells its deletion only."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        client = self._service.get_blob_client(change.container, change.blob)
        if change.api == "DeleteBlob":
            return BlobFacts("", 0, "application/octet-stream", "BlockBlob", client.url)
        try:
            found = client.get_blob_properties()
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            log.warning("%s cannot be looked at: %s", change.blob, type(error).__name__)
            return BlobFacts("", 0, "", "BlockBlob", client.url)
        kind = str(getattr(found.blob_type, "value", found.blob_type))
        return BlobFacts(str(found.etag), int(found.size), str(found.content_settings.content_type), kind, client.url)


def _read_lines(file: Path, offset: int) -> tuple[str, int]:
    """Complete lines from an offset, and the offset after them; a log that was started anew is read from its start."""
    if not file.exists():
        return "", offset
    with file.open("rb") as log_file:
        size = log_file.seek(0, 2)
        start = offset if offset <= size else 0
        log_file.seek(start)
        data = log_file.read(MOST_BYTES)
    complete = data.rfind(b"\n") + 1
    return data[:complete].decode(errors="replace"), start + complete
