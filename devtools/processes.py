"""Child processes that end when `dev.py` does, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from devtools.layout import ROOT

GRACE_SECONDS, END_SECONDS = 5.0, 40.0
Command = Sequence[str | Path]
_LINES: dict[str, Any] = {
    "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "encoding": "utf-8", "errors": "replace",
}  # fmt: skip
"""A child whose output is read as lines, whatever its bytes are."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, which only this process got; Ctrl-C is seen by the children in the foreground too."""


def _raise_terminated(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def end_on_signals() -> None:
    """Every polite signal unwinds `dev.py`, so that it ends its children."""
    signal.signal(signal.SIGTERM, _raise_terminated)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, _raise_terminated)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ending takes seconds: a second Ctrl-C in that time must not leave half of the processes behind."""
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment for a child: loopback addresses never go through a company's proxy."""
    found = {**os.environ, "PYTHONUNBUFFERED": "1", **(extra or {})}
    for name in ("NO_PROXY", "no_proxy"):
        found[name] = ",".join(filter(None, [found.get(name), "localhost,127.0.0.1,::1"]))
    return found


def run(command: Command) -> int:
    """Run in the foreground with our input and output; Ctrl-C ends it, and is raised again."""
    child = subprocess.Popen([str(c) for c in command], cwd=ROOT, env=child_environment())
    return _wait(child)


def run_logged(command: Command, log: Path, on_line: Callable[[str], None] = lambda _: None) -> int:
    """Run with the output in a log file, each line also given to `on_line`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(
        [str(c) for c in command], cwd=ROOT, env=child_environment(), stdin=subprocess.DEVNULL, **_LINES
    )
    with log.open("w", encoding="utf-8") as out, child:
        try:
            for line in child.stdout or ():
                out.write(line)
                on_line(line.strip())
        except KeyboardInterrupt as interrupt:
            _end_interrupted(child, interrupt)
            raise
        return _wait(child)


def _wait(child: subprocess.Popen[Any]) -> int:
    try:
        return child.wait()
    except KeyboardInterrupt as interrupt:
        _end_interrupted(child, interrupt)
        raise


def _end_interrupted(child: subprocess.Popen[Any], interrupt: KeyboardInterrupt) -> None:
    """A terminal's Ctrl-C reached the child too, which may be cleaning up; a signal to us alone is passed on."""
    with undisturbed():
        if isinstance(interrupt, Terminated) or not _ends(child, GRACE_SECONDS):
            with contextlib.suppress(OSError, ValueError):
                child.send_signal(signal.SIGINT if sys.platform != "win32" else signal.SIGTERM)
        if not _ends(child, END_SECONDS):
            child.kill()


def _ends(child: subprocess.Popen[Any], seconds: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(seconds)
    return child.poll() is not None


class Background:
    """A child beside us, out of Ctrl-C's reach: it ends when its standard input closes, so even if we are killed."""

    def __init__(self, command: Command) -> None:
        """Start it; its output is read from `lines`."""
        self._process = subprocess.Popen(
            [str(c) for c in command],
            cwd=ROOT,
            env=child_environment(),
            stdin=subprocess.PIPE,
            **_LINES,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lines(self) -> Iterator[str]:
        """Output as it comes, until the child ends."""
        with self._process.stdout or contextlib.nullcontext(()) as out:
            for line in out:
                yield line.rstrip()

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code, or None where it still runs after so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def end(self) -> None:
        """Ask it to end, wait, and kill it with all it started if it does not."""
        with undisturbed():
            if self._process.stdin is not None:
                self._process.stdin.close()
            if not _ends(self._process, END_SECONDS):
                self._kill()
            self._process.wait()

    def _kill(self) -> None:
        if sys.platform == "win32":
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(self.pid)], check=False, capture_output=True)
        else:
            os.killpg(self.pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether a process of this id runs."""
    if sys.platform == "win32":
        found = subprocess.run(["tasklist", "/FI", f"PID eq {pid}", "/NH"], check=False, capture_output=True, text=True)
        return str(pid) in found.stdout.split()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
