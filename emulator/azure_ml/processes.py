"""Ends processes with all that they started."""

from __future__ import annotations

import contextlib

import psutil


def end_tree(pid: int) -> None:
    """Ask a process and all that it started to end: a shell alone would leave its command running."""
    with contextlib.suppress(psutil.NoSuchProcess):
        every = psutil.Process(pid)
        for child in [*every.children(recursive=True), every]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.terminate()
