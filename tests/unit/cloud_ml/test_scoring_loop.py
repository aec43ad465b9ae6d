"""What only the scorer of the event loop has: cancelled callers, connections of a loop, what it imports, whom it trusts."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
import trustme

from services.cloud import async_scoring, endpoint_token, identity
from services.cloud.async_scoring import AsyncEndpointScorer
from services.cloud.exchange import Connection
from services.cloud.scoring_contract import request_pieces
from services.errors import Upstream, UpstreamBusy, UpstreamTimeout, VisionloopError
from tests.support.scored_slot import Slot


def test_a_caller_that_is_cancelled_closes_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_token, "token", lambda _: "t")

    async def scene() -> None:
        came, went = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            came.set()
            await reader.read()  # ends where the other side closes
            went.set()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        scorer = AsyncEndpointScorer(4)
        uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/score"
        call = asyncio.create_task(scorer.score(uri, "blue", [b"x"], deadline=30))
        await asyncio.wait_for(came.wait(), 60)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(went.wait(), 60)
        scorer.close()
        server.close()

    asyncio.run(scene())


def test_a_caller_that_goes_away_while_its_image_is_sent_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_token, "token", lambda _: "t")

    async def scene(listening: socket.socket) -> None:
        loop, scorer = asyncio.get_running_loop(), AsyncEndpointScorer(4)
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}/score"
        call = asyncio.create_task(scorer.score(uri, "blue", [b"x" * 30_000_000], deadline=60))
        with (await loop.sock_accept(listening))[0] as connection:
            connection.setblocking(False)
            assert await loop.sock_recv(connection, 100)  # the rest cannot be sent: nobody reads it
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.wait_for(_to_its_end(connection), 60)
        scorer.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        asyncio.run(scene(listening))


async def _to_its_end(connection: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(connection, 1 << 20):
        continue


def test_each_request_is_sent_before_the_next_is_prepared(monkeypatch: pytest.MonkeyPatch, slot: Slot) -> None:
    """Of requests that come together none waits for the others' bodies."""
    monkeypatch.setattr(async_scoring, "known_bearer", lambda uri: (uri, "t"))
    slot.body = b'[{"boxes": []}]'
    seen: list[str] = []
    prepare, send = request_pieces, Connection._send

    def prepared(images: list[bytes]) -> list[bytes]:
        seen.append(f"prepared {images[0].decode()}")
        return prepare(images)

    async def sent(self: Connection, transport: asyncio.Transport, head: bytes, body: Sequence[bytes]) -> None:
        await send(self, transport, head, body)
        seen.append(f"sent all but {transport.get_write_buffer_size()} bytes")

    monkeypatch.setattr(async_scoring, "request_pieces", prepared)
    monkeypatch.setattr(Connection, "_send", sent)

    async def scene() -> None:
        scorer = AsyncEndpointScorer(4)

        async def together() -> None:
            await asyncio.gather(*(scorer.score(slot.uri, "blue", [name], deadline=60) for name in (b"a", b"b", b"c")))

        await together()  # which opens three connections
        seen.clear()
        await together()
        scorer.close()

    asyncio.run(scene())
    said = "sent all but 0 bytes"
    assert seen == ["prepared a", said, "prepared b", said, "prepared c", said]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # what a loop left open when it ended is lost
def test_connections_of_another_event_loop_are_not_used(slot: Slot) -> None:
    slot.body = b'[{"boxes": []}]'
    scorer = AsyncEndpointScorer(4)
    for _ in range(3):
        assert asyncio.run(scorer.score(slot.uri, "green", [b"x"], deadline=60)) == [{"boxes": []}]
    assert len(set(slot.ports)) == 3
    del scorer
    gc.collect()


def test_a_process_ends_without_complaints(slot: Slot) -> None:
    slot.body = b'[{"boxes": []}]'
    code = (
        "import asyncio; from services.cloud import endpoint_token; endpoint_token.token = lambda _: 't'; "
        "from services.cloud.async_scoring import AsyncEndpointScorer; scorer = AsyncEndpointScorer(4); "
        f"print(asyncio.run(scorer.score({slot.uri!r}, 'blue', [b'x'], deadline=60)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[{'boxes': []}]\n", "")


def test_a_token_that_is_known_is_waited_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_tokens", {identity.MACHINE_LEARNING: ("good", time.time() + 3600)})
    assert endpoint_token.known_bearer("https://a/score") == ("https://a/score", "good")
    monkeypatch.setattr(identity, "_tokens", {identity.MACHINE_LEARNING: ("old", time.time() + 60)})
    assert endpoint_token.known_bearer("https://a/score") is None
    monkeypatch.setattr(endpoint_token, "_tokens", {"https://tokens": ("own", time.time() + 5)})
    assert endpoint_token.known_bearer("https://a/score#https://tokens") == ("https://a/score", "own")
    assert endpoint_token.known_bearer("https://a/score#https://others") is None


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (409, b"", UpstreamBusy),
        (412, b"", UpstreamBusy),
        (400, b"The endpoint is in Updating provisioning state", UpstreamBusy),
        (424, b"", Upstream),
    ],
)
def test_what_is_done_to_an_endpoint_passes_by_and_no_status_is_our_fault(
    slot: Slot, status: int, said: bytes, error: type[Upstream]
) -> None:
    """Whoever asks for a prediction has forbidden nothing, and may ask again."""
    slot.status, slot.body, slot.headers = status, said, {"ms-azureml-model-error-statuscode": "9" * 5000}

    async def scene() -> None:
        scorer = AsyncEndpointScorer(4)
        with pytest.raises(Upstream) as caught:
            await scorer.score(slot.uri, "blue", [b"x"], deadline=60)
        assert type(caught.value) is error
        scorer.close()

    asyncio.run(scene())


def test_a_token_is_waited_for_within_the_deadline(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    came = threading.Event()
    monkeypatch.setattr(async_scoring, "bearer", lambda uri: came.wait(60) and (uri, "late"))
    try:
        with pytest.raises(UpstreamTimeout, match=r"within 0\.05 s"):
            asyncio.run(AsyncEndpointScorer(4).score(slot.uri, "blue", [b"x"], deadline=0.05))
    finally:
        came.set()
    assert slot.asked == []


class Image(bytes):
    """One whose end is told."""

    alive = 0

    def __new__(cls, size: int) -> Self:
        """Made."""
        cls.alive += 1
        return super().__new__(cls, size)

    def __del__(self) -> None:
        Image.alive -= 1


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    "trouble", ["late", "cancelled", "refused", "unnamed", "unconnected", "broken", "error", "none"]
)
def test_no_image_outlives_its_request(trouble: str, slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not until a search for cycles finds it: those are seldom."""
    monkeypatch.setattr(async_scoring, "known_bearer", lambda uri: (uri, "t"))
    monkeypatch.setattr(async_scoring, "CONNECT_SECONDS", 0.1)
    named = {"refused": "http://localhost:1/score", "unnamed": "http://slot.invalid/score"}
    slot.delay = 0.5 if trouble in ("late", "cancelled") else 0.0
    slot.status, slot.missing = 500 if trouble == "error" else 200, 9 if trouble == "broken" else 0
    scorer = AsyncEndpointScorer(4)

    async def ask() -> None:
        with suppress(VisionloopError):
            deadline = 0.1 if trouble == "late" else 60
            await scorer.forward(named.get(trouble, slot.uri), "blue", Image(700_000), deadline=deadline)

    async def scene() -> None:
        if trouble == "unconnected":
            monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", lambda *_: asyncio.sleep(60))
        asked = asyncio.create_task(ask())
        await asyncio.sleep(0.1 if trouble == "cancelled" else 0)
        if trouble == "cancelled":
            asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
        await asyncio.sleep(0)
        assert Image.alive == 0
        scorer.close()

    asyncio.run(scene())


def test_the_way_of_a_prediction_imports_no_sdk() -> None:
    code = (
        "import sys, services.cloud.async_scoring; "
        "print([m for m in sys.modules if m in ('azure.core', 'azure.identity', 'azure.ai', 'requests', 'numpy', 'PIL', 'httptools')])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


TRUST = """
import asyncio, sys
from services.cloud import endpoint_token
from services.cloud.async_scoring import AsyncEndpointScorer
from services.errors import UpstreamUnreached
endpoint_token.token = lambda _: "t"

async def scene():
    scorer = AsyncEndpointScorer(4)
    for uri in sys.argv[1:]:
        try:
            print(await scorer.score(uri, "blue", [b"x"], deadline=60))
        except UpstreamUnreached as error:
            print(error.detail)
    scorer.close()

asyncio.run(scene())
"""


def test_a_slots_certificate_is_held_against_whom_openssl_trusts(slot: Slot, tmp_path: Path) -> None:
    slot.body = b'[{"boxes": []}]'
    authority, serving = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(serving)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    slot.socket = serving.wrap_socket(slot.socket, server_side=True)
    port = slot.server_address[1]
    uris = [f"https://localhost:{port}/score", f"https://127.0.0.1:{port}/score"]

    def told(trusted: str) -> list[str]:
        command = [sys.executable, "-c", TRUST, *uris]
        done = subprocess.run(command, env={**os.environ, "SSL_CERT_FILE": trusted}, capture_output=True, text=True)
        return done.stdout.splitlines()

    refused = "Slot blue could not be reached: SSLCertVerificationError"
    assert told(str(tmp_path / "ca.pem")) == ["[{'boxes': []}]", refused]
    assert told(os.devnull) == [refused, refused]
