"""One child process: started with a pipe for its standard input, ended gently, started again when it dies."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger("supervisor")
PAUSES_SECONDS = (0.2, 1, 2, 5, 10)
STABLE_SECONDS = 20


@dataclass(slots=True)
class Child:
    """A service; `command` and `environment` are whole."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    is_ready: Callable[[], bool]
    restarts: int = 0
    process: subprocess.Popen[bytes] | None = None
    started: float = field(default=0.0)
    due: float = field(default=0.0)

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    def start(self) -> None:
        """Start, with all output appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=sys.platform != "win32",  # Ctrl-C is for the supervisor, which ends them in order
            )
        self.started = time.monotonic()

    def look_after(self) -> bool:
        """Start again what has died, sooner where it had been stable; returns whether it was started."""
        if self.process is None or self.process.poll() is None:
            return False
        if not self.due:
            if time.monotonic() - self.started > STABLE_SECONDS:
                self.restarts = 0
            pause = PAUSES_SECONDS[min(self.restarts, len(PAUSES_SECONDS) - 1)]
            log.warning("%s ended with %s; again in %.1f s", self.name, self.process.returncode, pause)
            self.restarts += 1
            self.due = time.monotonic() + pause
        if time.monotonic() < self.due:
            return False
        self.due = 0.0
        self._close_pipe()
        self.start()
        return True

    def ask_to_end(self) -> None:
        """The polite signal, or on Windows the closed pipe."""
        if self.process is not None and self.process.poll() is None:
            self._close_pipe()
            if sys.platform != "win32":
                self.process.send_signal(signal.SIGTERM)

    def end(self, seconds: float) -> None:
        """Wait for the end of a child that was asked to end; kill it after so many seconds."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, seconds))
        except subprocess.TimeoutExpired:
            log.warning("%s did not end in time and is killed", self.name)
            self.process.kill()
            self.process.wait()
        self._close_pipe()

    def _close_pipe(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def last_words(self, lines: int = 12) -> str:
        """The end of the log, for a sentence about why it does not start."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def is_running(pid: int, word: str) -> bool:
    """Whether a process of this id runs and its command line has `word` in it (ids are used again)."""
    import psutil

    try:
        return any(word in part for part in psutil.Process(pid).cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def kill_stale(pid: int, word: str) -> None:
    """End a child of a supervisor that was killed; anything that is not ours is left alone."""
    if pid and is_running(pid, word):
        log.warning("A process of an earlier run (%s) is ended", pid)
        os.kill(pid, signal.SIGTERM)
        ends = time.monotonic() + 10
        while is_running(pid, word) and time.monotonic() < ends:
            time.sleep(0.1)
