from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from services.cloud import identity
from services.cloud.fakes import fake_settings
from services.errors import Upstream, UpstreamBusy
from services.inference.notes import NoteWriter


class Storage(BaseHTTPRequestHandler):
    status = 201
    seen: list[tuple[str, bytes, str, str]]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, body, self.headers["x-ms-blob-type"], self.headers["authorization"]))
        self.send_response(self.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[NoteWriter, type[Storage]]]:
    monkeypatch.setattr(identity, "token", lambda resource: f"for {resource}")
    handler = type("Handler", (Storage,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = fake_settings().model_copy(update={"system_blob_uri": f"http://127.0.0.1:{server.server_port}/"})
    yield NoteWriter(settings), handler
    server.shutdown()
    server.server_close()


def test_a_note_is_put_whole(storage: tuple[NoteWriter, type[Storage]]) -> None:
    write, seen = storage[0], storage[1].seen
    write("activity/cards.json", b"{}")
    bearer = "Bearer for https://storage.azure.com"
    assert seen == [("/visionloop-system/activity/cards.json", b"{}", "BlockBlob", bearer)]


@pytest.mark.parametrize(("status", "error"), [(503, UpstreamBusy), (403, Upstream), (200, Upstream)])
def test_what_storage_refuses_is_an_error(
    storage: tuple[NoteWriter, type[Storage]], status: int, error: type[Upstream]
) -> None:
    storage[1].status = status
    with pytest.raises(error, match=f"Storage answered {status}"):
        storage[0]("a", b"b")


def test_nobody_there_is_an_error(storage: tuple[NoteWriter, type[Storage]]) -> None:
    settings = fake_settings().model_copy(update={"system_blob_uri": "http://127.0.0.1:9"})
    with pytest.raises(Upstream, match="Storage did not answer"):
        NoteWriter(settings)("a", b"b")
