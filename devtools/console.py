"""What `dev.py` says: one line a step, ticking on a terminal, plain without one."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator

TICK_SECONDS, REMIND_SECONDS = 0.2, 30.0


class Stop(Exception):
    """Ends `dev.py` with a sentence that says what is wrong and what to do; `code` is the exit code."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


def say(text: str = "") -> None:
    print(text, flush=True)


def numbered(count: int, what: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def tolerant_output() -> None:
    """A console that lacks a character gets a question mark, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


class Step:
    """A step under way; `note` is what it does just now."""

    def __init__(self, what: str) -> None:
        self.what, self.note = what, ""
        self._started, self._over = time.monotonic(), threading.Event()
        self._live = sys.stdout.isatty()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def begin(self) -> None:
        if not self._live:
            say(f"... {self.what}")
        self._thread.start()

    def end(self, mark: str) -> None:
        self._over.set()
        self._thread.join()
        self._wipe()
        say(f"{mark} {self.what} ({self.seconds:.1f} s)")

    def _tick(self) -> None:
        while not self._over.wait(TICK_SECONDS if self._live else REMIND_SECONDS):
            text = f"... {self.what} ({self.seconds:.0f} s) {self.note}"
            if self._live:
                self._wipe()
                print(text[: shutil.get_terminal_size().columns - 1], end="", flush=True)
            else:
                say(text)

    def _wipe(self) -> None:
        if self._live:
            print("\r\033[K", end="", flush=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[Step]:
    """Show that something is under way, then how long it took, or that it did not work."""
    shown = Step(what)
    shown.begin()
    try:
        yield shown
    except BaseException:
        shown.end("no ")
        raise
    shown.end("ok ")
