"""Follows Azurite's access log, also over a restart, and looks each changed blob up."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import urllib3

from emulator.event_grid.events import BlobChange, BlobFacts, Event, cloud_event, read_line
from emulator.event_grid.relay import Relay

TOPIC = "blob"
POLL_SECONDS = 0.05
MOST_BYTES = 1 << 20
LOOK_UPS = 8
log = logging.getLogger("event_grid")


class Blobs:
    """Looks at blobs by plain HTTP: the SDK's pipeline costs four times as much, and a burst is thousands of looks."""

    def __init__(self, account_url: str, account_key: str, authority: str) -> None:
        """`authority` is the PEM file of the server's certificate authority."""
        self._url, self._key = account_url.rstrip("/"), account_key
        self._http = urllib3.PoolManager(
            maxsize=LOOK_UPS, ca_certs=authority, retries=urllib3.Retry(3, backoff_factor=0.2)
        )
        self._sas, self._renew = "", 0.0

    def look(self, change: BlobChange) -> BlobFacts | None:
        """What the blob is now; None where it is gone again, whose deletion then tells."""
        url = f"{self._url}/{change.container}/{quote(change.blob, safe='/~')}"
        if change.api == "DeleteBlob":
            return BlobFacts("", 0, "application/octet-stream", "BlockBlob", url)
        try:
            answer = self._http.request("HEAD", f"{url}?{self._signature()}", timeout=10)
        except urllib3.exceptions.HTTPError as error:
            log.warning("%s cannot be looked at: %s", change.blob, type(error).__name__)
            return BlobFacts("", 0, "", "BlockBlob", url)
        if answer.status == 404:
            return None
        found = answer.headers
        kind, length = found.get("x-ms-blob-type", "BlockBlob"), int(found.get("content-length", 0))
        return BlobFacts(found.get("etag", ""), length, found.get("content-type", ""), kind, url)

    def _signature(self) -> str:
        from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

        if time.monotonic() > self._renew:
            account, ends = self._url.rpartition("/")[2], datetime.now(UTC) + timedelta(days=1)
            rights = AccountSasPermissions(read=True)
            self._sas = generate_account_sas(account, self._key, ResourceTypes(object=True), rights, ends)
            self._renew = time.monotonic() + 3600
        return self._sas


class BlobSource:
    """Turns lines of the log into events of the topic `blob`."""

    def __init__(self, relay: Relay, file: Path, blobs: Blobs, topic: str) -> None:
        """`topic` is the storage account's resource id, the source that events name."""
        self._relay, self._file, self._blobs, self._topic = relay, file, blobs, topic
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
        return any(s.covers(TOPIC, change.subject) for s in self._relay.subscriptions)

    async def _events(self, changes: list[BlobChange], sequence: int) -> list[Event]:
        loop = asyncio.get_running_loop()
        looks = [loop.run_in_executor(self._pool, self._blobs.look, change) for change in changes]
        facts = await asyncio.gather(*looks)
        pairs = zip(changes, facts, strict=True)
        return [cloud_event(c, f, sequence + n, self._topic) for n, (c, f) in enumerate(pairs, 1) if f is not None]


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
