"""Ports for services that begin to listen only later, and on the same ones again after a restart."""

from __future__ import annotations

import secrets
import socket

LOWEST, BEYOND = 20_000, 32_768
"""Below those that Linux, macOS and Windows give to whoever asks for any port or connects to somewhere: such a port may
be another program's before our service listens, or while it is started again."""


def free_ports(count: int) -> list[int]:
    """So many different ports of loopback at which nobody listens."""
    found: list[int] = []
    while len(found) < count:
        port = LOWEST + secrets.randbelow(BEYOND - LOWEST)
        if port not in found and _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
