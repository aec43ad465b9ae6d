"""Deliveries over real connections: the documented receiver, certificates, redirects, and what must not be reached."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from emulator.free_ports import free_ports
from services.cloud import pinned
from services.cloud.fakes import FakeCloud
from services.context import LoopContext
from services.errors import BadRequest
from services.outbox import Outbox
from services.state import LoopState
from services.timeline import Timeline
from services.webhooks.deliver import Deliverer
from services.webhooks.dispatch import Dispatcher
from services.webhooks.guard import Guard
from services.webhooks.kinds import KINDS
from services.webhooks.registry import Registry
from services.webhooks.sender import HttpSender
from tests.support.receiver import receiving
from tests.support.timing import tried_again, within

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "webhooks.md").read_text()


def documented_receiver() -> str:
    [code] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    return str(code)


class World:
    """Everything from outbox to network, over storage in memory."""

    def __init__(self, guard: Guard | None = None) -> None:
        self.fakes = FakeCloud()
        self.state = LoopState(loop="cards", created=self.fakes.clock())
        guard = guard or Guard(allow_local=True)
        self.registry = Registry(self.fakes.system, self.fakes.clock, guard)
        self.dispatcher = Dispatcher(self.registry, self.fakes.deliveries)
        self.sender = HttpSender(guard, timeout=60)
        self.deliverer = Deliverer(
            self.fakes.system, self.registry, self.fakes.deliveries, self.sender, self.fakes.clock
        )

    def tell(self, kind: str, reason: str) -> None:
        context = LoopContext(self.fakes.cloud(), self.state, lambda _: None, lambda: 60.0)
        context.tell(kind, reason)
        Outbox(Timeline(self.fakes.system), self.dispatcher).flush(context)

    def work(self) -> None:
        while self.fakes.deliveries.sent:
            self.deliverer.deliver(self.fakes.deliveries.sent.pop(0)[0])


@contextmanager
def running(code: str, secret: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The documented receiver as a program of its own."""
    [port] = free_ports(1)
    environment = {**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}/", process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    ends = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < ends:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the receiver did not start")


def test_the_documented_receiver_takes_a_delivery_once_and_no_forgery() -> None:
    """It has its own few lines of HMAC and shares nothing with our code."""
    world = World()
    world.fakes.clock.now = world.fakes.clock.now.fromtimestamp(time.time(), world.fakes.clock.now.tzinfo)
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}/"
    endpoint = world.registry.add({"url": address, "events": ["training.*"]})
    with running(documented_receiver(), endpoint.secret) as (url, process):
        world.registry.remove(endpoint.id)
        endpoint = endpoint.model_copy(update={"url": url})
        world.registry._change(lambda document: document.endpoints.append(endpoint))
        world.tell("training.started", "40 labelled images")
        world.tell("rollout.promoted", "not asked for")
        world.work()
        posted = json.loads(world.fakes.system.read(next(n for n in world.fakes.system.blobs if "/log/" in n)).data)
        assert posted["state"] == "delivered", posted
        forged = {**signed_headers(), "webhook-signature": "v1,AAAA"}
        assert world.sender(url, forged, b"{}").status == 401
        assert process.stdout is not None
        assert process.stdout.readline() == "visionloop.training.started 40 labelled images\n"


def signed_headers() -> dict[str, str]:
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(time.time())), "content-type": "application/json"}


def test_the_guide_lists_every_kind() -> None:
    listed = dict(re.findall(r"^\| `([a-z.]+\.[a-z_]+)` \| (.+) \|$", GUIDE, re.MULTILINE))
    assert listed == KINDS


def test_every_event_arrives_signed_at_an_independent_receiver() -> None:
    world = World()
    with receiving() as receiver:
        receiver.secret = world.registry.add({"url": receiver.url}).secret
        for kind in KINDS:
            world.tell(kind, "ü → 😀")
        world.work()
        assert receiver.kinds() == set(KINDS)
        assert receiver.forged == []
        assert {e["data"]["reason"] for e in receiver.events} == {"ü → 😀"}


class Server(ThreadingHTTPServer):
    """Answers everything alike, and remembers what was asked."""

    def __init__(
        self, status: int = 204, headers: dict[str, str] | None = None, body: bytes = b"", pause: float = 0
    ) -> None:
        self.seen: list[tuple[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            server: Server

            def do_POST(self) -> None:
                self.server.seen.append((self.path, self.headers["host"]))
                self.rfile.read(int(self.headers["content-length"]))
                time.sleep(pause)
                try:
                    self.send_response(status)
                    for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True  # the sender has given up

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                return

        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        return


@contextmanager
def serving(server: Server, context: ssl.SSLContext | None = None) -> Iterator[int]:
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    other = Server()
    with serving(other) as port, serving(Server(307, {"location": f"http://127.0.0.1:{port}/inside"})) as first:
        assert World().sender(f"http://127.0.0.1:{first}/", {}, b"{}").status == 307
    assert other.seen == []


def test_what_was_asked_for_is_in_path_and_host_header() -> None:
    server = Server()
    with serving(server) as port:
        assert World().sender(f"http://localhost:{port}/a%20b?c=d&e", {}, b"{}").status == 204
    assert server.seen == [("/a%20b?c=d&e", f"localhost:{port}")]


def test_a_name_of_other_letters_is_reached() -> None:
    server = Server()
    sender = HttpSender(Guard(allow_local=True, resolve=lambda host, port: ["127.0.0.1"]))
    with serving(server) as port:
        assert sender(f"http://例え.jp:{port}/ü", {}, b"{}").status == 204
    assert server.seen == [("/%C3%BC", f"xn--r8jz45g.jp:{port}")]


def test_a_long_answer_is_not_read_to_its_end() -> None:
    with serving(Server(500, {"retry-after": "120"}, b"x" * 10_000_000)) as port:
        answer = World().sender(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert answer.status == 500
    assert answer.retry_after == 120
    assert answer.body.strip("x") == ""
    assert 0 < len(answer.body) <= 1200


@tried_again
def test_a_receiver_that_does_not_answer_is_given_up() -> None:
    sender = HttpSender(Guard(allow_local=True), timeout=3)
    with serving(Server(pause=4)) as port, within(3.8):
        answer = sender(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert answer.status == 0
    assert "Timeout" in answer.body


def test_nobody_there_is_told_without_details() -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        answer = World().sender(f"http://127.0.0.1:{probe.getsockname()[1]}/?token=abc", {}, b"{}")
    assert answer.status == 0
    assert "abc" not in answer.body


class TestCertificates:
    """The connection goes to the pinned address, the certificate is held against the name."""

    @pytest.fixture
    def authority(self, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
        authority, context = trustme.CA(), ssl.create_default_context()
        authority.configure_trust(context)
        monkeypatch.setattr(pinned, "_tls", lambda: context)
        return authority

    @staticmethod
    def served(authority: trustme.CA, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(context)
        return context

    def pinned(self) -> HttpSender:
        guard = Guard(allow_local=True, resolve=lambda host, port: ["127.0.0.1"])
        return HttpSender(guard, timeout=60)

    def test_the_right_name(self, authority: trustme.CA) -> None:
        server = Server()
        with serving(server, self.served(authority, "receiver.example")) as port:
            assert self.pinned()(f"https://receiver.example:{port}/", {}, b"{}").status == 204
        assert server.seen == [("/", f"receiver.example:{port}")]

    def test_another_name(self, authority: trustme.CA) -> None:
        server = Server()
        with serving(server, self.served(authority, "other.example")) as port:
            answer = self.pinned()(f"https://receiver.example:{port}/", {}, b"{}")
        assert (answer.status, answer.body) == (0, "no answer: SSLError")
        assert server.seen == []

    def test_an_unknown_authority(self, authority: trustme.CA) -> None:
        with serving(Server(), self.served(trustme.CA(), "receiver.example")) as port:
            assert self.pinned()(f"https://receiver.example:{port}/", {}, b"{}").status == 0


class TestNotReached:
    """A socket on this machine that counts connections: there must be none."""

    @pytest.fixture
    def listening(self) -> Iterator[socket.socket]:
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            server.setblocking(False)
            yield server

    @staticmethod
    def connections(server: socket.socket) -> int:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return 0
        return 1

    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "0",
            "[::ffff:127.0.0.1]",
            "①②⑦.⓪.⓪.①",
            "127。0。0。1",
        ],
    )
    def test_however_it_is_spelt(self, listening: socket.socket, host: str) -> None:
        url = f"https://{host}:{listening.getsockname()[1]}/"
        answer = HttpSender(Guard(allow_local=False), timeout=2)(url, {}, b"{}")
        assert answer.status == 0
        assert answer.body.startswith("not sent: url: ")
        assert self.connections(listening) == 0

    def test_a_name_that_changes_where_it_leads(self, listening: socket.socket) -> None:
        """Public when it is registered, this machine when it is delivered to."""
        leads = iter([["8.8.8.8"], ["127.0.0.1"]])
        world = World(Guard(allow_local=False, resolve=lambda host, port: next(leads)))
        world.registry.add({"url": f"https://rebinding.example:{listening.getsockname()[1]}/"})
        world.tell("training.started", "r")
        world.deliverer.deliver(world.fakes.deliveries.sent.pop(0)[0])
        assert self.connections(listening) == 0
        log = next(b.data for n, b in world.fakes.system.blobs.items() if "/log/" in n)
        assert b"not public" in log

    def test_the_name_is_looked_up_once_a_delivery(self) -> None:
        """What was checked is what is connected to, not what a second look-up would say."""
        lookups: list[str] = []

        def resolve(host: str, port: int) -> list[str]:
            lookups.append(host)
            return ["127.0.0.1"]

        server, sender = Server(), HttpSender(Guard(allow_local=True, resolve=resolve), timeout=60)
        with serving(server) as port:
            assert sender(f"http://receiver.example:{port}/", {}, b"{}").status == 204
        assert lookups == ["receiver.example"]
        assert len(server.seen) == 1

    def test_it_is_not_even_registered(self) -> None:
        with pytest.raises(BadRequest, match="not public"):
            World(Guard(allow_local=False)).registry.add({"url": "https://localhost/"})
