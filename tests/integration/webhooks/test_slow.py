"""Receivers that are slow, dead, or send a byte at a time: each costs its own time, and nobody else's."""

from __future__ import annotations

import heapq
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from services.cloud import pinned
from services.errors import BadRequest, UpstreamTimeout
from services.inbound import cvat_api
from services.inference import fetch
from services.webhooks import lanes
from services.webhooks.guard import Guard
from services.webhooks.sender import HttpSender
from tests.integration.webhooks.test_receivers import Server, TestCertificates, World, serving
from tests.support.receiver import receiving
from tests.support.timing import held, tried_again, within


@contextmanager
def dripping(text: bytes, seconds: float, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A receiver that sends one byte of `text` after the other, so long apart, to each that comes."""

    def drip(raw: socket.socket) -> None:
        with suppress(OSError), closing(context.wrap_socket(raw, server_side=True) if context else raw) as connection:
            for byte in text:
                connection.sendall(bytes([byte]))
                time.sleep(seconds)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(server.accept()[0],), daemon=True).start()

    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


SLOW_HEAD = b"HTTP/1.1 204 No Content\r\nx-long: " + b"x" * 1000
ENDLESS = b"HTTP/1.1 100 Continue\r\n\r\n" * 100


@pytest.mark.parametrize("text", [SLOW_HEAD, ENDLESS, b""], ids=["head", "interim", "nothing"])
@pytest.mark.parametrize("secure", [False, True])
@tried_again
def test_the_time_is_for_all_of_an_attempt_however_it_is_dripped(
    text: bytes, secure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, trusting, serving_tls = trustme.CA(), ssl.create_default_context(), None
    if secure:
        authority.configure_trust(trusting)
        monkeypatch.setattr(pinned, "_tls", lambda: trusting)
        serving_tls = TestCertificates.served(authority, "localhost")
    with dripping(text or b"-" * 1000, 0.02 if text else 30, serving_tls) as port:
        sender = HttpSender(Guard(allow_local=True, resolve=lambda host, port: ["127.0.0.1"]), timeout=0.4)
        started = time.monotonic()
        with within(0.9):
            answer = sender(f"http{'s' if secure else ''}://localhost:{port}/", {}, b"{}")
        assert time.monotonic() - started > 0.3
    assert answer.status == 0
    assert "Timeout" in answer.body


@tried_again
def test_a_tls_that_is_never_agreed_on_ends_in_time() -> None:
    with dripping(b"\x16\x03\x03\x40\x00" + b"\0" * 1000, 0.02) as port, within(0.9):
        answer = HttpSender(Guard(allow_local=True), timeout=0.4)(f"https://127.0.0.1:{port}/", {}, b"{}")
    assert answer.status == 0


@pytest.mark.parametrize("text", [SLOW_HEAD.replace(b"204", b"200"), b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000])
@tried_again
def test_an_image_that_is_dripped_is_left_in_time_too(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SECONDS", 0.4)
    with dripping(text, 0.02) as port, within(0.9), pytest.raises(BadRequest):
        fetch.ImageFetcher(Guard(allow_local=True), 10_000)(f"http://127.0.0.1:{port}/a.jpg")


@pytest.mark.parametrize("text", [SLOW_HEAD.replace(b"204", b"200"), b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 1000])
@tried_again
def test_a_labelling_server_that_drips_is_left_in_time_too(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cvat_api, "SECONDS", 0.5)
    with dripping(text, 0.02) as port, within(3), pytest.raises(UpstreamTimeout, match=r"within 0\.5 s"):
        cvat_api.CvatApi(Guard(allow_local=True)).documents(cvat_api.Server(f"http://127.0.0.1:{port}", "token"), 1)


@tried_again
def test_a_receiver_that_drips_its_body_has_answered() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
    with dripping(head + b"y" * 1000, 0.005) as port, within(1.5):
        answer = HttpSender(Guard(allow_local=True), timeout=2)(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert answer.status == 200
    assert set(answer.body) == {"y"}


def test_no_thread_or_socket_is_left_of_an_attempt() -> None:
    sender = HttpSender(Guard(allow_local=True), timeout=30)
    with serving(Server()) as port:
        sender(f"http://127.0.0.1:{port}/", {}, b"{}")
        threads, files = threading.active_count(), len([*Path("/proc/self/fd").iterdir()])
        for _ in range(5):
            assert sender(f"http://127.0.0.1:{port}/", {}, b"{}").status == 204
        ends = time.monotonic() + 20
        while threading.active_count() > threads + 1 and time.monotonic() < ends:
            time.sleep(0.02)
        assert threading.active_count() <= threads + 1
        assert len([*Path("/proc/self/fd").iterdir()]) <= files + 2


class Host:
    """The Functions host's part: eight places, and messages that become visible in their time."""

    PLACES = 8

    def __init__(self, world: World) -> None:
        self._world, self._due, self._lock = world, list[tuple[float, int, str]](), threading.Lock()
        self._numbers, self._over = itertools.count(), threading.Event()

    def _next(self) -> str | None:
        now, sent = time.monotonic(), self._world.fakes.deliveries.sent
        with self._lock:
            while sent:
                body, delay = sent.pop(0)
                heapq.heappush(self._due, (now + delay, next(self._numbers), body))
            return heapq.heappop(self._due)[2] if self._due and self._due[0][0] <= now else None

    def _work(self) -> None:
        while not self._over.is_set():
            if body := self._next():
                self._world.deliverer.deliver(body)
            else:
                time.sleep(0.005)

    @contextmanager
    def running(self) -> Iterator[None]:
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self.PLACES)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            self._over.set()
            for worker in workers:
                worker.join(5)


@tried_again
def test_dead_receivers_slow_neither_the_loop_nor_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three that never answer are told of forty events each, and one that answers is told beside them."""
    monkeypatch.setattr(lanes, "WAIT_SECONDS", 0.05)
    world = World()
    world.deliverer._sender = HttpSender(Guard(allow_local=True), timeout=3)
    with receiving() as receiver, dripping(b"HTTP/1.1 " + b"2" * 1000, 0.5) as dead:
        for _ in range(3):
            world.registry.add({"url": f"http://127.0.0.1:{dead}/"})
        receiver.secret = world.registry.add({"url": receiver.url}).secret
        started = time.monotonic()
        for _ in range(40):
            world.tell("training.started", "r")
        told = time.monotonic() - started
        with Host(world).running():
            while len(receiver.ids()) < 40 and time.monotonic() - started < 60:
                time.sleep(0.02)
            took = time.monotonic() - started
    assert len(receiver.ids()) == 40
    assert receiver.forged == []
    held(told, 1)  # the loop only puts messages on a queue
    held(took, 2.8)  # not one of the dead receivers' timeouts was waited for
