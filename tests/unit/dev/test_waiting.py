"""What the benchmark of the controller counts as its own time, and what as waiting for others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import urllib3

from benchmarks._waiting import Clock, Stretch, listening, until

SLOW = 0.15


class Slow(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(SLOW)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def busy(seconds: float) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        continue


def test_a_request_is_waiting_and_the_rest_is_own(url: str) -> None:
    stretch = Stretch()
    with urllib3.PoolManager() as pool, listening() as clock:
        with clock.measured(stretch):
            busy(0.1)
            pool.request("GET", url)
        pool.request("GET", url)
    assert stretch.waiting >= SLOW
    assert 0.1 <= stretch.own < stretch.wall
    assert stretch.own + stretch.waiting == pytest.approx(stretch.wall)
    assert (stretch.requests, stretch.wakes) == (1, 1)
    assert stretch.cpu > 0


def test_waits_of_two_threads_at_once_count_once() -> None:
    stretch, clock = Stretch(), Clock()
    with clock.measured(stretch):
        threads = [threading.Thread(target=_wait, args=(clock,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert SLOW <= stretch.waiting <= stretch.wall
    assert stretch.requests == 3


def _wait(clock: Clock) -> None:
    with clock.waits():
        time.sleep(SLOW)


def test_sleep_within_a_wake_is_waiting_and_between_wakes_is_nothing() -> None:
    stretch, wakes, started = Stretch(), iter(range(3)), time.perf_counter()
    with listening() as clock:
        until(clock, stretch, lambda: time.sleep(0.02), lambda: next(wakes) == 2, pause=0.2)
    assert stretch.wakes == 3
    assert 0.06 <= stretch.waiting <= stretch.wall
    assert time.perf_counter() - started - stretch.wall >= 2 * 0.2
