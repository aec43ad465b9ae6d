"""Ends processes with all that they started."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any

import psutil

GRACE_SECONDS = 5.0
"""A command that is told to end has so long to save what it wants to."""


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
