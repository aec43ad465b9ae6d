from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.cloud import identity
from services.cloud.fakes import fake_settings
from services.errors import Upstream, UpstreamBusy
from services.inference.notes import NoteWriter
from tests.support.small_server import Handler, serving


class Storage(Handler):
    status = 201
    seen: list[tuple[str, bytes, str, str]]

    def do_PUT(self) -> None:
        self.seen.append((self.path, self.body(), self.headers["x-ms-blob-type"], self.headers["authorization"]))
        self.answer(self.status)


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[NoteWriter, type[Storage]]]:
    monkeypatch.setattr(identity, "token", lambda resource: f"for {resource}")
    handler = type("Handler", (Storage,), {"seen": []})
    with serving(handler) as address:
        yield NoteWriter(fake_settings().model_copy(update={"system_blob_uri": f"{address}/"})), handler


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
