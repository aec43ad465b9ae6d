from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import processes
from devtools.layout import ROOT
from devtools.processes import Background, child_environment, is_alive, run, run_logged

OBEDIENT = "import sys; print('ready', flush=True); sys.stdin.read(); print('ended', flush=True)"
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
PARENT = """
import sys
from devtools.processes import end_on_signals, run
end_on_signals()
code = "import os,time; print(os.getpid(), flush=True); time.sleep(60)"
try:
    run([sys.executable, "-c", code])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def _gone(pid: int) -> bool:
    ends = time.monotonic() + 120
    while is_alive(pid) and time.monotonic() < ends:
        time.sleep(0.02)
    return not is_alive(pid)


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        yield process
        process.kill()


def test_what_runs_beside_us_ends_when_asked() -> None:
    child = Background([sys.executable, "-c", OBEDIENT])
    lines = child.lines
    assert next(lines) == "ready"
    child.end()
    assert list(lines) == ["ended"]
    assert child.wait(0) == 0


def test_what_does_not_end_is_killed_with_all_that_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "END_SECONDS", 0.3)
    child = Background([sys.executable, "-c", STUBBORN])
    grandchild = int(next(child.lines))
    child.end()
    assert _gone(child.pid)
    assert _gone(grandchild)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_us_alone_ends_the_child(parent: subprocess.Popen[str], number: int) -> None:
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(number)
    assert "interrupted" in parent.stdout.read()
    assert _gone(child)


def test_ctrl_c_in_a_terminal_ends_both(parent: subprocess.Popen[str]) -> None:
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.killpg(parent.pid, signal.SIGINT)
    assert "interrupted" in parent.stdout.read()
    assert _gone(child)


def test_the_exit_code_is_the_childs() -> None:
    assert run([sys.executable, "-c", "raise SystemExit(7)"]) == 7


def test_output_is_logged_and_heard(tmp_path: Path) -> None:
    heard: list[str] = []
    log = tmp_path / "new" / "x.log"
    code = "import sys; print('one'); print('two', file=sys.stderr); raise SystemExit(3)"
    assert run_logged([sys.executable, "-c", code], log, heard.append) == 3
    assert sorted(heard) == ["one", "two"]
    assert sorted(log.read_text().split()) == ["one", "two"]


def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet")
    assert child_environment()["NO_PROXY"] == "intranet,localhost,127.0.0.1,::1"
