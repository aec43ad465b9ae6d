"""Further worker processes, which answer HTTP beside the first: Azure's setting FUNCTIONS_WORKER_PROCESS_COUNT.

Contract: https://learn.microsoft.com/azure/azure-functions/functions-app-settings#functions_worker_process_count
Azure's host hands requests to its workers in turn; here the system deals out connections. Queues and timers stay with
the first process.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SETTING = "FUNCTIONS_WORKER_PROCESS_COUNT"
MOST = 10
FURTHER = "--further"
"""The argument that says to a process that it is not the first."""
REST_SECONDS = 1.0
log = logging.getLogger("host")


def wanted() -> int:
    """How many processes there are to be.

    Raises:
        ValueError: the setting is no number from 1 to 10.
    """
    text = os.environ.get(SETTING, "1")
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ValueError(f"{SETTING} is {text!r}: expected a number from 1 to {MOST}")
    if int(text) > 1 and not hasattr(socket, "SO_REUSEPORT"):
        log.warning("%s is left at 1: on this system processes cannot share a port", SETTING)
        return 1
    return int(text)


def bound(port: int, *, shared: bool) -> socket.socket:
    """A socket for this port of loopback, which other processes may bind too."""
    # asyncio sends without delay where the protocol is named, and only there
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind(("127.0.0.1", port))
    return found


@contextmanager
def further(count: int) -> Iterator[None]:
    """So many processes more with this one's arguments; one that dies is followed by another."""
    workers = [_Worker() for _ in range(count)]
    try:
        yield
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    def __init__(self) -> None:
        self._over = threading.Event()
        self._process = self._start()
        threading.Thread(target=self._follow, daemon=True).start()

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        # it ends when this standard input closes, however this process ends
        return subprocess.Popen([sys.executable, *sys.orig_argv[1:], FURTHER], stdin=subprocess.PIPE)

    def _follow(self) -> None:
        while code := self._process.wait():
            if self._over.wait(REST_SECONDS):
                return
            log.error("A worker process ended with code %s: another one is started", code)
            self._process = self._start()

    def end(self) -> None:
        """End it, gracefully."""
        self._over.set()
        self._process.terminate()
        self._process.wait(20)
