"""The storage adapters through the real SDK against Azurite: what the fakes promise, the service does."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator

import pytest

from services.cloud import identity
from services.cloud.blobs import LEASE_SECONDS, AzureBlobStore
from services.cloud.fakes import FakeBlobStore
from services.cloud.ports.storage import BlobStore
from services.cloud.queues import AzureQueue
from services.commands import Commands, command, read_asked
from services.errors import ChangedMeanwhile, LoopBusy, NotFound
from services.settings import WAKE_QUEUE, read_settings
from tests.support.cloud_process import CloudProcess, running_cloud
from tests.support.stages import NOW, state


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    with running_cloud(tmp_path_factory.mktemp("cloud"), "--no-app") as found:
        yield found


@pytest.fixture(params=["fake", "azure"])
def store(request: pytest.FixtureRequest) -> BlobStore:
    if request.param == "fake":
        return FakeBlobStore()
    settings = read_settings(request.getfixturevalue("cloud").environment)
    found = AzureBlobStore(settings.system_blob_uri, settings.system_container)
    for blob in found.list():
        found.delete(blob.name)
    return found


def test_what_is_written_is_listed_read_and_streamed(store: BlobStore) -> None:
    data = bytes(range(256)) * 1000
    etag = store.write("a/b.bin", data)
    [info] = store.list("a/")
    assert (info.name, info.etag.strip('"'), info.size) == ("a/b.bin", etag.strip('"'), len(data))
    assert info.md5 == hashlib.md5(data).hexdigest()
    assert info.modified.tzinfo is not None
    assert store.read("a/b.bin").data == data
    assert store.read("a/b.bin", offset=3, length=5).data == data[3:8]
    assert b"".join(store.stream("a/b.bin", etag=etag)) == data


def test_what_is_claimed_of_a_blob_is_listed_until_it_is_overwritten(store: BlobStore) -> None:
    store.write("a.png", b"1", claim="1 png 3 4 0 abc")
    store.write("b.png", b"2")
    store.append("c.log", b"3")
    assert [b.claim for b in store.list()] == ["1 png 3 4 0 abc", "", ""]
    store.write("a.png", b"4")
    assert [b.claim for b in store.list("a")] == [""]


def test_what_is_not_there(store: BlobStore) -> None:
    with pytest.raises(NotFound):
        store.read("nothing")
    with pytest.raises(NotFound):
        b"".join(store.stream("nothing"))
    with pytest.raises(NotFound):
        store.lease("nothing")
    store.delete("nothing")
    assert list(store.list("nothing")) == []


def test_a_prefix_s_folders(store: BlobStore) -> None:
    for name in ("top", "cards/a", "cards/images/b", "coins/c"):
        store.write(name, b"x")
    assert list(store.folders()) == ["cards", "coins"]
    assert list(store.folders("cards/")) == ["images"]


def test_a_write_over_another_etag_is_refused(store: BlobStore) -> None:
    first = store.write("x", b"1")
    second = store.write("x", b"2", etag=first)
    assert second != first
    with pytest.raises(ChangedMeanwhile):
        store.write("x", b"3", etag=first)
    with pytest.raises(ChangedMeanwhile):
        store.write("x", b"3", create=True)
    with pytest.raises(ChangedMeanwhile):
        store.write("y", b"3", etag=first)
    with pytest.raises(ChangedMeanwhile):
        b"".join(store.stream("x", etag=first))
    assert store.read("x").data == b"2"


def test_a_lease_keeps_others_out_and_is_given_back(store: BlobStore) -> None:
    etag = store.write("x", b"1")
    lease = store.lease("x")
    with pytest.raises(LoopBusy):
        store.lease("x")
    with pytest.raises((ChangedMeanwhile, LoopBusy)):
        store.write("x", b"2", etag=etag)
    store.write("x", b"3", etag=etag, lease=lease.id)
    lease.release()
    store.lease("x").release()
    with pytest.raises((ChangedMeanwhile, LoopBusy)):
        store.write("x", b"4", lease=lease.id)
    assert store.read("x").data == b"3"


def test_appends_keep_their_order(store: BlobStore) -> None:
    for number in range(5):
        store.append("log.jsonl", f"{number}\n".encode())
    assert store.read("log.jsonl").data == b"0\n1\n2\n3\n4\n"


def test_a_held_lease_outlives_its_duration(cloud: CloudProcess) -> None:
    settings = read_settings(cloud.environment)
    store = AzureBlobStore(settings.system_blob_uri, settings.system_container)
    store.write("long", b"x")
    lease = store.lease("long")
    time.sleep(LEASE_SECONDS + 2)
    with pytest.raises(LoopBusy):
        store.lease("long")
    lease.release()


def test_a_command_is_new_until_it_is_noted_and_its_successor_is_new_again(store: BlobStore) -> None:
    commands, made = Commands(store), state()
    for word in (b'{"by": "Ada"}', b'{"by": "Bob"}'):
        commands.put(made.loop, command("train", read_asked(word), NOW))
        [(name, etag, found)] = commands.new(made)
        assert found.order.by.encode() in word
        assert len(list(commands.new(made))) == 1
        made.commands[name] = etag
        assert list(commands.new(made)) == []


def test_a_message_is_base64_and_hidden_until_its_time(cloud: CloudProcess) -> None:
    from azure.storage.queue import QueueClient, TextBase64DecodePolicy

    settings = read_settings(cloud.environment)
    queue = AzureQueue(settings.system_queue_uri, WAKE_QUEUE)
    queue.send(json.dumps({"loop": "now"}))
    queue.send(json.dumps({"loop": "later"}), delay=3600)
    client = QueueClient(
        settings.system_queue_uri, WAKE_QUEUE, identity.credential(), message_decode_policy=TextBase64DecodePolicy()
    )
    bodies = [json.loads(m.content)["loop"] for m in client.receive_messages(max_messages=32)]
    assert bodies == ["now"]


def test_a_token_is_asked_for_once(cloud: CloudProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    first = identity.token(identity.STORAGE)
    monkeypatch.setenv("IDENTITY_ENDPOINT", "https://127.0.0.1:9/nobody")
    assert identity.token(identity.STORAGE) == first
    assert first.count(".") == 2
