"""What only the scorer of the event loop has: cancelled callers, connections of a loop, what it imports, whom it trusts."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from services.cloud import endpoint_token, identity
from services.cloud.async_scoring import AsyncEndpointScorer
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
        await scorer.close()
        server.close()

    asyncio.run(scene())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # what a loop left open when it ended is lost
def test_connections_of_another_event_loop_are_not_used(slot: Slot) -> None:
    slot.body = b'[{"boxes": []}]'
    scorer = AsyncEndpointScorer(4)
    for _ in range(3):
        assert asyncio.run(scorer.score(slot.uri, "green", [b"x"], deadline=60)) == [{"boxes": []}]
    asyncio.run(scorer.close())
    gc.collect()


def test_a_process_ends_without_complaints(slot: Slot) -> None:
    slot.body = b'[{"boxes": []}]'
    code = (
        "import asyncio, atexit; from services.cloud import endpoint_token; endpoint_token.token = lambda _: 't'; "
        "from services.cloud.async_scoring import AsyncEndpointScorer; scorer = AsyncEndpointScorer(4); "
        f"atexit.register(scorer.close_at_exit); asyncio.run(scorer.score({slot.uri!r}, 'blue', [b'x'], deadline=60))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_token_that_is_known_is_waited_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_tokens", {identity.MACHINE_LEARNING: ("good", time.time() + 3600)})
    assert endpoint_token.known_bearer("https://a/score") == ("https://a/score", "good")
    monkeypatch.setattr(identity, "_tokens", {identity.MACHINE_LEARNING: ("old", time.time() + 60)})
    assert endpoint_token.known_bearer("https://a/score") is None
    monkeypatch.setattr(endpoint_token, "_tokens", {"https://tokens": ("own", time.time() + 5)})
    assert endpoint_token.known_bearer("https://a/score#https://tokens") == ("https://a/score", "own")
    assert endpoint_token.known_bearer("https://a/score#https://others") is None


def test_the_way_of_a_prediction_imports_no_sdk() -> None:
    code = (
        "import sys, services.cloud.async_scoring; "
        "print([m for m in sys.modules if m in ('azure.core', 'azure.identity', 'azure.ai', 'requests', 'numpy', 'PIL', 'aiohttp')])"
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
    await scorer.close()

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

    refused = "Slot blue could not be reached: ClientConnectorCertificateError"
    assert told(str(tmp_path / "ca.pem")) == ["[{'boxes': []}]", refused]
    assert told(os.devnull) == [refused, refused]
