"""Processes that only are there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def program(word: str) -> Iterator[subprocess.Popen[str]]:
    """A process with a word in its command line, which can be read once it has said something."""
    command = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)", word]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()
