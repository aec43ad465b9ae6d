"""Both scorers against a real HTTP server on loopback: in all of this they are alike."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from services.cloud import endpoint_token, exchange
from services.cloud.async_scoring import AsyncEndpointScorer
from services.cloud.scoring import EndpointScorer
from services.cloud.scoring_contract import request_pieces
from services.errors import (
    NotFound,
    Upstream,
    UpstreamBusy,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreached,
    VisionloopError,
)
from tests.support.scored_slot import Slot
from tests.support.timing import tried_again, within

Answers = list[dict[str, object]]
Score = Callable[..., Answers]


def waiting(uri: str, images: list[bytes], deadline: float = 60, times: int = 1) -> Answers:
    scorer = EndpointScorer()
    return [scorer.score(uri, "green", images, deadline=deadline) for _ in range(times)][-1]


def on_the_loop(uri: str, images: list[bytes], deadline: float = 60, times: int = 1) -> Answers:
    async def scene() -> Answers:
        scorer = AsyncEndpointScorer(4)
        try:
            return [await scorer.score(uri, "green", images, deadline=deadline) for _ in range(times)][-1]
        finally:
            scorer.close()

    return asyncio.run(scene())


@pytest.fixture(params=[waiting, on_the_loop])
def score(request: pytest.FixtureRequest) -> Score:
    found: Score = request.param
    return found


def test_the_request_is_azure_mls_contract(score: Score, slot: Slot) -> None:
    slot.body = b'[{"boxes": []}, {"boxes": [1]}]'
    images = [bytes(range(256)), b""]
    assert score(slot.uri, images) == [{"boxes": []}, {"boxes": [1]}]
    headers, body = slot.asked[0]
    assert headers["azureml-model-deployment"] == "green"
    assert headers["authorization"] == "Bearer token-for-https://ml.azure.com"
    assert headers["content-type"] == "application/json"
    sent = json.loads(body)
    assert sent == {
        "input_data": {"columns": ["image"], "data": [base64.b64encode(image).decode() for image in images]}
    }


def test_a_body_for_one_image_is_json() -> None:
    assert json.loads(b"".join(request_pieces([b"x"]))) == {"input_data": {"columns": ["image"], "data": ["eA=="]}}


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (400, UpstreamRefused, False),
        (401, Upstream, True),
        (403, Upstream, True),
        (404, NotFound, False),
        (408, UpstreamTimeout, True),
        (413, UpstreamRefused, False),
        (424, Upstream, True),
        (429, UpstreamBusy, True),
        (500, Upstream, True),
        (502, UpstreamUnreached, True),
        (503, UpstreamBusy, True),
        (504, UpstreamTimeout, True),
        (302, Upstream, True),
    ],
)
def test_statuses_are_told_apart(
    score: Score, slot: Slot, status: int, error: type[VisionloopError], retryable: bool
) -> None:
    slot.status, slot.body, slot.headers = status, b'{"message": "no"}', {"Location": "http://127.0.0.1:9/"}
    with pytest.raises(VisionloopError) as caught:
        score(slot.uri, [b"x"])
    assert type(caught.value) is error
    assert caught.value.retryable is retryable
    assert str(status) in caught.value.detail
    assert "slot green" in caught.value.detail
    assert len(slot.asked) == 1


@pytest.mark.parametrize(
    ("own", "error"),
    [("400", UpstreamRefused), ("500", Upstream), ("x", Upstream), ("9" * 5000, Upstream), ("\u00b2", Upstream)],
)
def test_an_error_of_the_model_has_its_own_status(
    score: Score, slot: Slot, own: str, error: type[VisionloopError]
) -> None:
    slot.status, slot.headers = 424, {"ms-azureml-model-error-statuscode": own}
    with pytest.raises(VisionloopError) as caught:
        score(slot.uri, [b"x"])
    assert type(caught.value) is error


def test_how_long_to_wait_is_kept(score: Score, slot: Slot) -> None:
    slot.status, slot.headers = 429, {"Retry-After": "17"}
    with pytest.raises(UpstreamBusy) as caught:
        score(slot.uri, [b"x"])
    assert caught.value.extra == {"retry_after": 17.0}


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"{}", b'"[]"', b"[1]", b'[{"a": NaN}]', b"[" * 5000, b'{"boxes": []}', b"\xff\xfe"]
)
def test_another_shape_is_an_error(score: Score, slot: Slot, body: bytes) -> None:
    slot.body = body
    with pytest.raises(Upstream):
        score(slot.uri, [b"x"])


def test_every_image_needs_an_answer(score: Score, slot: Slot) -> None:
    slot.body = b'[{"boxes": []}]'
    with pytest.raises(UpstreamRefused, match="1 objects for 2 images"):
        score(slot.uri, [b"x", b"y"])


@tried_again
def test_the_deadline_holds(score: Score, slot: Slot) -> None:
    slot.delay = 1.0
    with within(0.9), pytest.raises(UpstreamTimeout, match=r"within 0\.1 s"):
        score(slot.uri, [b"x"], deadline=0.1)


@pytest.mark.parametrize("left", [0.0, -0.5])
def test_a_deadline_that_has_just_passed_is_no_endless_one(slot: Slot, left: float) -> None:
    slot.delay = 1.0
    with pytest.raises(UpstreamTimeout):
        on_the_loop(slot.uri, [b"x"], left)


def test_nobody_there_is_an_error(score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_token, "token", lambda _: "t")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}/score"
        with pytest.raises(Upstream, match="could not be reached"):
            score(uri, [b"x"], 60)


def test_secrets_in_an_answer_are_not_told(score: Score, slot: Slot) -> None:
    slot.status, slot.body = 400, b'{"url": "https://x.example/?sv=1&sig=abcDEF%2B123&se=2", "token": "eyJhbGciOi"}'
    with pytest.raises(UpstreamRefused) as caught:
        score(slot.uri, [b"x"])
    assert "abcDEF" not in caught.value.detail
    assert "eyJhbGciOi" not in caught.value.detail


def test_connections_are_reused(score: Score, slot: Slot) -> None:
    slot.body = b'[{"boxes": []}]'
    score(slot.uri, [b"x"], times=5)
    assert len(slot.ports) == 5
    assert len(set(slot.ports)) == 1


def test_a_large_body_arrives_whole(score: Score, slot: Slot) -> None:
    slot.body = b'[{"boxes": []}]'
    image = random.randbytes(3_000_000)
    score(slot.uri, [image])
    [(headers, body)] = slot.asked
    assert body == b"".join(request_pieces([image]))
    assert headers["content-length"] == str(len(body))


def test_a_body_that_is_passed_on_arrives_whole(slot: Slot) -> None:
    body = random.randbytes(1_300_000)

    async def scene() -> bytes:
        scorer = AsyncEndpointScorer(4)
        try:
            return await scorer.forward(slot.uri, "green", body, deadline=60)
        finally:
            scorer.close()

    assert asyncio.run(scene()) == EndpointScorer().forward(slot.uri, "green", body, deadline=60) == b"[]"
    assert [sent for _, sent in slot.asked] == [body, body]


def test_an_answer_that_breaks_off_is_not_asked_for_again(score: Score, slot: Slot) -> None:
    slot.missing = 100
    with pytest.raises(Upstream) as caught:
        score(slot.uri, [b"x"])
    assert type(caught.value) is Upstream


@contextmanager
def breaking(said: bytes, *, resets: bool) -> Iterator[str]:
    """The address of a slot that says this to one request, and goes away."""

    def serve() -> None:
        connection = listening.accept()[0]
        with connection, connection.makefile("rb") as came:
            while came.readline().strip():
                continue
            connection.settimeout(0.05)
            with suppress(TimeoutError):
                came.read()
            connection.sendall(said)
            time.sleep(0.05)
            if resets:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/score"
        thread.join()


@pytest.mark.parametrize("resets", [True, False])
@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"", UpstreamUnreached),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Upstream),
        (b"HTTP/1.1 200 OK\r\n\r\n", Upstream),
        (b"HTTP/1.1 200 OK\r\n\r\n[", Upstream),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Upstream),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", Upstream),
        (b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nno", Upstream),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[]", Upstream),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n[]", Upstream),
    ],
)
def test_who_breaks_off_before_an_answer_was_not_reached_and_within_one_was(
    score: Score, said: bytes, error: type[Upstream], resets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_token, "token", lambda _: "t")
    with breaking(said, resets=resets) as uri, pytest.raises(Upstream) as caught:
        score(uri, [b"x"])
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("named", "coded"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("gzip, gzip", lambda plain: gzip.compress(gzip.compress(plain))),
        ("identity", bytes),
    ],
)
def test_what_a_gateway_compresses_unasked_is_read(
    score: Score, slot: Slot, named: str, coded: Callable[[bytes], bytes]
) -> None:
    slot.body, slot.headers = coded(b'[{"boxes": []}]'), {"content-encoding": named}
    assert score(slot.uri, [b"x"]) == [{"boxes": []}]
    slot.status, slot.body = 400, coded(b"no image")
    with pytest.raises(UpstreamRefused, match="no image"):
        score(slot.uri, [b"x"])
    assert {headers["accept-encoding"] for headers, _ in slot.asked} == {"identity"}


def test_what_is_passed_on_is_plain(slot: Slot) -> None:
    slot.body, slot.headers = gzip.compress(b"[1]"), {"Content-Encoding": "gzip"}

    async def scene() -> bytes:
        scorer = AsyncEndpointScorer(4)
        try:
            return await scorer.forward(slot.uri, "green", b"{}", deadline=60)
        finally:
            scorer.close()

    assert asyncio.run(scene()) == b"[1]"


def test_an_answer_in_a_broken_coding_is_not_asked_for_again(score: Score, slot: Slot) -> None:
    slot.body, slot.headers = b"nonsense", {"Content-Encoding": "gzip"}
    with pytest.raises(Upstream) as caught:
        score(slot.uri, [b"x"])
    assert type(caught.value) is Upstream


@pytest.mark.parametrize("body", [b"nonsense", gzip.compress(bytes(300_001))])
def test_an_answer_in_a_broken_or_endless_coding_is_not_asked_for_again(
    slot: Slot, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "MOST_BODY", 300_000)
    slot.body, slot.headers = body, {"Content-Encoding": "gzip"}
    with pytest.raises(Upstream, match="AnswerBroken") as caught:
        on_the_loop(slot.uri, [b"x"])
    assert type(caught.value) is Upstream


def test_cookies_of_a_slot_are_not_sent_back(score: Score, slot: Slot) -> None:
    slot.body, slot.headers = b'[{"boxes": []}]', {"Set-Cookie": "a=b"}
    score(slot.uri, [b"x"], times=2)
    assert ["cookie" in headers for headers, _ in slot.asked] == [False, False]
