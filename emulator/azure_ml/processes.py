"""Ends processes with all that they started."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

GRACE_SECONDS = 5.0
"""A command that is told to end has so long to save what it wants to."""
LOOK_SECONDS = 1.0


def end_tree(pid: int) -> None:
    """Ask a process and all that it started to end: a shell alone would leave its command running."""
    with contextlib.suppress(psutil.NoSuchProcess):
        every = psutil.Process(pid)
        for child in [*every.children(recursive=True), every]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.terminate()


def end_tree_surely(process: subprocess.Popen[Any]) -> None:
    """Ask the same, kill what does not end in time, and wait for it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(process.pid)
        every = [*first.children(recursive=True), first]
        end_tree(process.pid)
        for left in psutil.wait_procs(every, timeout=GRACE_SECONDS)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
    process.wait()


def wait_looking(process: subprocess.Popen[Any], seconds: float | None, look: Callable[[], None]) -> None:
    """Wait for a process's end, for so long at most, and call `look` meanwhile.

    Raises:
        subprocess.TimeoutExpired: it has not ended.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    while process.poll() is None:
        left = LOOK_SECONDS if ends is None else min(LOOK_SECONDS, ends - time.monotonic())
        if left <= 0:
            raise subprocess.TimeoutExpired(process.args, seconds or 0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(left)
        look()
