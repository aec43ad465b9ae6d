from __future__ import annotations

import pytest

from emulator.event_grid.events import BlobChange, BlobFacts, cloud_event, event_grid_schema, read_line

START = "127.0.0.1 - - [21/Nov/2026:07:00:00 +0000] "
BLOB = "/devstoreaccount1/data/cards/images/a%20b.jpg"


@pytest.mark.parametrize(
    ("request_line", "status", "api"),
    [
        (f"PUT {BLOB}", 201, "PutBlob"),
        (f"PUT {BLOB}?timeout=30", 201, "PutBlob"),
        (f"PUT {BLOB}?comp=blocklist", 201, "PutBlockList"),
        (f"PUT {BLOB}", 202, "CopyBlob"),
        (f"DELETE {BLOB}", 202, "DeleteBlob"),
        (f"PUT {BLOB}?comp=block&blockid=1", 201, None),
        (f"PUT {BLOB}?comp=lease", 201, None),
        (f"PUT {BLOB}?comp=snapshot", 201, None),
        (f"DELETE {BLOB}?snapshot=2026", 202, None),
        (f"PUT {BLOB}", 412, None),
        (f"GET {BLOB}", 200, None),
        ("PUT /devstoreaccount1/data?restype=container", 201, None),
    ],
)
def test_lines_of_the_access_log(request_line: str, status: int, api: str | None) -> None:
    change = read_line(f'{START}"{request_line} HTTP/1.1" {status} -')
    assert (change.api if change else None) == api
    if change:
        assert change.subject == "/blobServices/default/containers/data/blobs/cards/images/a b.jpg"


def test_lines_that_are_no_requests() -> None:
    assert [read_line(t) for t in ("", "Azurite Blob service successfully listens", '"PUT')] == [None] * 3


def test_both_schemas_have_the_recorded_members_and_sequencers_order_as_text() -> None:
    change = BlobChange("PutBlob", "account", "data", "x.jpg")
    facts = BlobFacts('"0x8D"', 5, "image/jpeg", "BlockBlob", "https://h/account/data/x.jpg")
    nine, ten = (cloud_event(change, facts, number, "/topic") for number in (9, 10))
    assert {"api", "requestId", "eTag", "contentType", "contentLength", "blobType", "url", "sequencer"} <= set(
        ten["data"]
    )
    assert (ten["type"], ten["specversion"], ten["data"]["contentLength"]) == (
        "Microsoft.Storage.BlobCreated",
        "1.0",
        5,
    )
    assert nine["data"]["sequencer"] < ten["data"]["sequencer"]
    own = event_grid_schema(ten)
    assert set(own) == {
        "topic",
        "subject",
        "eventType",
        "id",
        "data",
        "dataVersion",
        "metadataVersion",
        "eventTime",
    }  # as in the recorded event
    assert (own["data"], own["id"]) == (ten["data"], ten["id"])
