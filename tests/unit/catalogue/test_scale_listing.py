"""Listing and ranges by plain HTTP: pages, encoded names, refusals and retries, against a server of the test's own."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from services.cloud import blob_rest, identity
from services.cloud.blob_rest import BlobRest
from services.errors import ChangedMeanwhile, NotFound, Upstream, UpstreamBusy

BLOB = """<Blob><Name{encoded}>{name}</Name><Properties><Last-Modified>Thu, 01 Jan 2026 12:00:00 GMT</Last-Modified>
<Etag>0x8DE</Etag><Content-Length>3</Content-Length><Content-MD5>{md5}</Content-MD5></Properties></Blob>"""


class Storage(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []
    statuses: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status = self.statuses.pop(0) if self.statuses else 200
        query = parse_qs(urlsplit(self.path).query)
        body = self.page(query.get("marker", [""])[0]) if "comp" in query else b"abcdef"
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("x-ms-range", "")):
            body = body[int(found[1]) : int(found[2]) + 1]
        self.send_response(status)
        self.send_header("etag", '"0x8DE"')
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def page(self, marker: str) -> bytes:
        names = ["c"] if marker else ["a/&lt;b&gt;", "a%EF%BF%BFb"]
        blobs = "".join(
            BLOB.format(name=n, encoded=' Encoded="true"' if "%" in n else "", md5="" if marker else "AAEC")
            for n in names
        )
        after = "" if marker else "next page&amp;"
        return f"<?xml version='1.0'?><R><Blobs>{blobs}</Blobs><NextMarker>{after}</NextMarker></R>".encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        pass


@pytest.fixture
def rest(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobRest]:
    monkeypatch.setattr(identity, "token", lambda resource: "secret")
    monkeypatch.setattr(blob_rest, "_RETRIES", blob_rest._RETRIES.new(backoff_factor=0))
    Storage.asked.clear()
    Storage.statuses.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Storage) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield BlobRest(f"http://127.0.0.1:{server.server_port}/account", "data")
        server.shutdown()


def test_pages_are_followed_and_names_decoded(rest: BlobRest) -> None:
    found = list(rest.list("loop/ä"))
    assert [b.name for b in found] == ["a/<b>", "a\uffffb", "c"]
    assert [b.md5 for b in found] == ["000102", "000102", ""]
    assert found[0].modified.isoformat() == "2026-01-01T12:00:00+00:00"
    assert (found[0].etag, found[0].size) == ("0x8DE", 3)
    assert parse_qs(urlsplit(Storage.asked[1]).query)["marker"] == ["next page&"]
    assert parse_qs(urlsplit(Storage.asked[0]).query)["prefix"] == ["loop/ä"]


def test_a_range_is_read(rest: BlobRest) -> None:
    blob = rest.read("x/ü %.jpg", 2, 3)
    assert (blob.data, blob.etag) == (b"cde", '"0x8DE"')
    assert Storage.asked == ["/account/data/x/%C3%BC%20%25.jpg"]


def test_what_passes_is_tried_again(rest: BlobRest) -> None:
    Storage.statuses += [503, 500]
    assert rest.read("x", 0, 6).data == b"abcdef"
    assert len(Storage.asked) == 3


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (412, ChangedMeanwhile), (416, ChangedMeanwhile), (403, Upstream)]
)
def test_refusals_are_ours(rest: BlobRest, status: int, kind: type[Exception]) -> None:
    Storage.statuses += [status]
    with pytest.raises(kind):
        rest.read("x", 0, 1)


def test_a_storage_that_stays_busy(rest: BlobRest) -> None:
    Storage.statuses += [503] * 4
    with pytest.raises(UpstreamBusy, match="503") as caught:
        list(rest.list(""))
    assert "secret" not in str(caught.value)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "token", lambda resource: "secret")
    monkeypatch.setattr(blob_rest, "_RETRIES", blob_rest._RETRIES.new(total=0))
    with pytest.raises(Upstream, match="did not answer"):
        BlobRest("http://127.0.0.1:9/account", "data").read("x", 0, 1)
