"""For every test."""

from __future__ import annotations

import signal

# a shell ignores Ctrl-C for what it starts in the background, and what is started inherits that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
