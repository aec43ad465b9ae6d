"""Images from addresses: only checked ones are connected to, and nothing is waited for without end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from services.errors import BadRequest, TooLarge
from services.inference.fetch import ImageFetcher
from services.webhooks.guard import Guard
from tests.support.small_server import Handler, serving
from tests.support.timing import tried_again, within

hits: list[str] = []


class Site(Handler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hits.append(f"{self.path} {self.headers['host']}")
        if self.path == "/moved":
            return self.answer(302, headers={"location": "http://127.0.0.1/secret"})
        if self.path == "/endless":
            return self.trickle()
        return self.answer(200 if self.path != "/gone" else 404, b"x" * (2000 if self.path == "/large" else 10))

    def trickle(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.01)


@pytest.fixture
def site() -> Iterator[str]:
    hits.clear()
    with serving(Site) as address:
        yield address


LOCAL = Guard(allow_local=True)


def test_an_image_comes_from_this_machine_in_development_only(site: str) -> None:
    assert ImageFetcher(LOCAL, 1000)(f"{site}/a?b=1") == b"x" * 10
    assert hits == [f"/a?b=1 {site.removeprefix('http://')}"]
    for refused in (site, site.replace("http:", "https:")):
        with pytest.raises(BadRequest):
            ImageFetcher(Guard(allow_local=False), 1000)(f"{refused}/a")
    assert len(hits) == 1


def test_plain_http_goes_nowhere_else_even_in_development() -> None:
    guard = Guard(allow_local=True, resolve=lambda host, port: ["8.8.8.8"])
    with pytest.raises(BadRequest, match="https"):
        ImageFetcher(guard, 1000)("http://images.example/a.jpg")


def test_the_address_that_was_checked_is_the_one_that_is_asked(site: str) -> None:
    looked_up: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["10.0.0.1"]

    port = site.rpartition(":")[2]
    assert ImageFetcher(Guard(allow_local=True, resolve=resolve), 1000)(f"http://rebinding.example:{port}/a")
    assert (looked_up, hits) == (["rebinding.example"], [f"/a rebinding.example:{port}"])


@pytest.mark.parametrize(("path", "said"), [("/moved", "302; redirects are not followed$"), ("/gone", "404$")])
def test_only_200_is_an_answer(site: str, path: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        ImageFetcher(LOCAL, 1000)(site + path)
    assert len(hits) == 1


def test_no_more_is_read_than_an_image_may_have(site: str) -> None:
    with pytest.raises(TooLarge, match="VISIONLOOP_MAX_IMAGE_BYTES = 1000"):
        ImageFetcher(LOCAL, 1000)(f"{site}/large")


def test_a_site_that_trickles_is_left(site: str) -> None:
    times = iter([0.0, 1.0, 2.0, 99.0])
    with pytest.raises(BadRequest, match="within 10 s"):
        ImageFetcher(LOCAL, 1000, lambda: next(times))(f"{site}/endless")


@tried_again
def test_who_has_less_time_waits_no_longer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, within(0.9):
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a"
        with pytest.raises(BadRequest, match="no answer"):
            ImageFetcher(LOCAL, 1000)(address, 0.1)


def test_nobody_there_is_said() -> None:
    with pytest.raises(BadRequest, match="no answer"):
        ImageFetcher(LOCAL, 1000)("http://127.0.0.1:1/a")
