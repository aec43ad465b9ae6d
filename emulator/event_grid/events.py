"""Real events from lines of Azurite's access log. Azurite itself has none (Azurite issue #1174).

Shapes: https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

Api = Literal["PutBlob", "PutBlockList", "CopyBlob", "DeleteBlob"]
Event = dict[str, Any]
_LINE = re.compile(r'"(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[\d.]+" (?P<status>\d{3})')


@dataclass(frozen=True, slots=True)
class BlobChange:
    """One write or deletion that succeeded."""

    api: Api
    account: str
    container: str
    blob: str

    @property
    def subject(self) -> str:
        """As Event Grid writes and filters it."""
        return f"/blobServices/default/containers/{self.container}/blobs/{self.blob}"


@dataclass(frozen=True, slots=True)
class BlobFacts:
    """What a look at the blob tells."""

    etag: str
    length: int
    content_type: str
    blob_type: str
    url: str


def read_line(line: str) -> BlobChange | None:
    """The change that a line of the access log tells of, or None where it tells of none."""
    match = _LINE.search(line)
    if match is None:
        return None
    target = urlsplit(match["target"])
    parts = unquote(target.path).lstrip("/").split("/", 2)
    api = _api(match["method"], parse_qs(target.query), match["status"])
    if api is None or len(parts) < 3 or not parts[2]:
        return None
    return BlobChange(api, *parts)


def _api(method: str, query: dict[str, list[str]], status: str) -> Api | None:
    part = query.get("comp", [""])[0]
    known: dict[tuple[str, str, str], Api] = {
        ("PUT", "", "201"): "PutBlob",
        ("PUT", "", "202"): "CopyBlob",
        ("PUT", "blocklist", "201"): "PutBlockList",
        ("DELETE", "", "202"): "DeleteBlob",
    }
    return None if query.keys() & {"restype", "snapshot", "versionid"} else known.get((method, part, status))


def cloud_event(change: BlobChange, facts: BlobFacts, sequence: int, topic: str) -> Event:
    """The change as CloudEvents 1.0. `sequence` orders events of one blob, as text."""
    kind = "BlobDeleted" if change.api == "DeleteBlob" else "BlobCreated"
    data: Event = {
        "api": change.api,
        "clientRequestId": str(uuid.uuid4()),
        "requestId": str(uuid.uuid4()),
        "eTag": facts.etag.strip('"'),
        "contentType": facts.content_type,
        "contentLength": facts.length,
        "blobType": facts.blob_type,
        "accessTier": "Default",
        "url": facts.url,
        "sequencer": f"{sequence:048X}",
        "storageDiagnostics": {"batchId": str(uuid.uuid4())},
    }
    if kind == "BlobDeleted":
        data = {k: v for k, v in data.items() if k not in {"eTag", "contentLength", "accessTier"}}
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": topic,
        "type": f"Microsoft.Storage.{kind}",
        "subject": change.subject,
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "data": data,
    }


def event_grid_schema(event: Event) -> Event:
    """A CloudEvent in Event Grid's own schema."""
    return {
        "topic": event["source"],
        "subject": event.get("subject", ""),
        "eventType": event["type"],
        "id": event["id"],
        "data": event.get("data"),
        "dataVersion": "",
        "metadataVersion": "1",
        "eventTime": event.get("time"),
    }
