"""`dev.py serve` as a user runs it: in a terminal of its own, ended by Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from devtools.install import is_installed
from devtools.layout import ROOT

DEV = [sys.executable, str(ROOT / "dev.py")]

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals a process group"),
    pytest.mark.skipif(not is_installed("app"), reason="needs what dev.py installs"),
]


def _dev(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEV, *map(str, arguments)], capture_output=True, text=True, timeout=120)


class Terminal:
    """`serve` in a process group of its own, as in a terminal's foreground."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [*DEV, "serve", "--folder", str(folder), "--ports", "auto"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []

    def wait_until(self, words: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            if words in line:
                return
        raise AssertionError(f"It never said {words!r}: {''.join(self.said)}")

    def processes(self) -> list[psutil.Process]:
        """Everything that it started, however deep."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def press_ctrl_c(self) -> int:
        os.killpg(self._process.pid, signal.SIGINT)
        self.said.append(self._process.communicate(timeout=60)[0])
        return self._process.returncode

    def kill(self) -> None:
        """As the system does when memory is short: nothing of ours runs any more."""
        self._process.kill()
        self._process.communicate(timeout=60)

    def end(self) -> None:
        if self._process.poll() is None:
            self.press_ctrl_c()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cloud"


@pytest.fixture
def terminal(folder: Path) -> Iterator[Terminal]:
    started = Terminal(folder)
    try:
        started.wait_until("logs")
        yield started
    finally:
        started.end()


def _description(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "cloud.json").read_text())
    return found


def test_ctrl_c_leaves_no_process_behind_and_the_state_stays(folder: Path, terminal: Terminal) -> None:
    first = _description(folder)
    assert first["keys"]["default"] in "".join(terminal.said)
    children = terminal.processes()
    assert len(children) >= 5
    assert terminal.press_ctrl_c() == 0
    assert psutil.wait_procs(children, timeout=60)[1] == []
    assert "its state is kept" in terminal.said[-1]
    again = Terminal(folder)
    try:
        again.wait_until("logs")
        second = _description(folder)
        assert (second["urls"], second["keys"]) == (first["urls"], first["keys"])
    finally:
        again.end()


def test_a_second_one_and_a_cleaning_are_refused_politely(folder: Path, terminal: Terminal) -> None:
    second = _dev("serve", "--folder", folder, "--ports", "auto")
    assert second.returncode == 3
    assert "already runs" in second.stderr
    cleaning = _dev("clean", "--yes", "--folder", folder)
    assert cleaning.returncode == 3
    assert "end it first" in cleaning.stderr
    assert "Traceback" not in second.stderr + cleaning.stderr
    assert terminal.press_ctrl_c() == 0
    assert _dev("clean", "--yes", "--folder", folder).returncode == 0
    assert not folder.exists()


def test_even_when_it_is_killed_nothing_stays(terminal: Terminal) -> None:
    children = terminal.processes()
    terminal.kill()
    ends = time.monotonic() + 120
    while any(child.is_running() for child in children) and time.monotonic() < ends:
        time.sleep(0.1)
    assert [child for child in children if child.is_running()] == []
