"""A host of several worker processes, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from emulator.free_ports import free_ports
from emulator.functions_host import workers

ROOT = Path(__file__).resolve().parents[3]
APP = """
import os
from pathlib import Path
import azure.functions as func

app = func.FunctionApp()

@app.function_name("who")
@app.route("who", auth_level=func.AuthLevel.ANONYMOUS)
def who(req: func.HttpRequest) -> str:
    return str(os.getpid())

@app.function_name("tick")
@app.timer_trigger("timer", "* * * * * *")
def tick(timer: func.TimerRequest) -> None:
    with Path(os.environ["TICKS"]).open("a") as file:
        file.write(f"{os.getpid()}\\n")
"""

pytestmark = pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="processes cannot share a port here")


@contextmanager
def host(folder: Path) -> Iterator[tuple[str, psutil.Process, Path]]:
    """Its address, its process, and the file of ticks."""
    app, ticks = folder / "app", folder / "ticks"
    app.mkdir()
    (app / "function_app.py").write_text(APP)
    (folder / "keys.json").write_text(json.dumps({"master": "m", "default": "d"}))
    [port] = free_ports(1)
    command = ["-m", "emulator.functions_host", "--app", app, "--port", str(port), "--keys", folder / "keys.json"]
    arguments = [sys.executable, *map(str, command)]
    environment = {**os.environ, workers.SETTING: "2", "TICKS": str(ticks), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(arguments, cwd=ROOT, env=environment, stdin=subprocess.PIPE) as child:
        try:
            yield f"http://127.0.0.1:{port}/api/who", psutil.Process(child.pid), ticks
        finally:
            child.kill()


def until(true: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + 90
    while not true():
        assert time.monotonic() < ends, what
        time.sleep(0.05)


def ask(address: str) -> set[int]:
    """Who answers on some new connections; a process that has just died may have taken one with it."""
    found = set()
    for _ in range(20):
        try:
            found.add(int(httpx.get(address, timeout=5).text))
        except httpx.TransportError:
            continue
    return found


def test_two_share_the_requests_one_has_the_timers_and_none_stays(tmp_path: Path) -> None:
    with host(tmp_path) as (address, first, ticks):
        until(lambda: len(ask(address)) == 2, "two processes answer")
        [second] = first.children()
        assert ask(address) == {first.pid, second.pid}
        second.kill()
        until(lambda: len(ask(address) - {second.pid}) == 2, "another one is started")
        [third] = [child for child in first.children() if child.pid != second.pid]
        assert ask(address) == {first.pid, third.pid}
        until(ticks.exists, "the timer ticks")
        before = len(ticks.read_text().split())
        until(lambda: len(ticks.read_text().split()) > before + 1, "the timer goes on")
        assert set(ticks.read_text().split()) == {str(first.pid)}
        first.send_signal(signal.SIGTERM)
        until(lambda: not third.is_running(), "the other one ends with the first")


def test_they_end_with_a_host_that_is_killed(tmp_path: Path) -> None:
    with host(tmp_path) as (address, first, _):
        until(lambda: len(ask(address)) == 2, "two processes answer")
        [second] = first.children()
        first.kill()
        until(lambda: not second.is_running(), "the other one ends with the first")


@pytest.mark.parametrize("text", ["0", "11", "two", "-1", "1.5", ""])
def test_a_number_that_azure_would_not_take_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(workers.SETTING, text)
    with pytest.raises(ValueError, match="from 1 to 10"):
        workers.wanted()


def test_without_the_setting_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(workers.SETTING, raising=False)
    assert workers.wanted() == 1
