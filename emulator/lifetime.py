"""How a service of the local cloud begins and ends.

A child ends with its parent, on every system: it reads its standard input, which closes when the parent is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import stat
import sys
import threading


def begin_service() -> None:
    """Log to standard output, which the supervisor keeps in a file, and end with the parent."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("azure", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    end_with_parent()


def end_with_parent() -> None:
    """End this process, gracefully first, when standard input closes. Without a pipe for one, nothing happens."""
    if sys.stdin is None or sys.stdin.closed or not stat.S_ISFIFO(os.fstat(0).st_mode):
        return
    threading.Thread(target=_watch, name="parent", daemon=True).start()


def _watch() -> None:
    try:
        while os.read(0, 1024):
            continue
    except OSError:
        pass
    signal.raise_signal(signal.SIGTERM)
    threading.Timer(15, os._exit, args=(1,)).start()
