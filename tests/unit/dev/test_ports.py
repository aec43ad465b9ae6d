"""A local cloud's ports stay its own from when they are chosen until its services listen."""

from __future__ import annotations

import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from emulator.free_ports import free_ports
from emulator.supervisor.layout import Ports, PortTaken


def listen(port: int, *, reuse: bool) -> socket.socket:
    """As a service does with `reuse`, and as a stranger who happens to want the port does without."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
    try:
        found.bind(("127.0.0.1", port))
        found.listen()
    except OSError:
        found.close()
        raise
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="other systems say it elsewhere")
def test_a_port_that_is_chosen_is_none_that_the_system_gives_away() -> None:
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = free_ports(40)
    assert len({*found}) == 40
    assert all(1024 < port < given for port in found)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no port for us")
def test_a_held_port_is_our_services_and_nobody_elses() -> None:
    ports = Ports(*free_ports(6))
    with ports.held():
        with pytest.raises(OSError, match="in use"):
            listen(ports.host, reuse=False)
        with closing(listen(ports.host, reuse=True)) as service, socket.create_connection(service.getsockname()):
            pass
    listen(ports.blob, reuse=False).close()


def test_a_port_that_somebody_has_is_named_and_no_other_is_kept() -> None:
    blob, queue, *others = free_ports(6)
    ports = Ports(blob, queue, *others)
    with closing(listen(queue, reuse=False)), pytest.raises(PortTaken, match=rf"Port {queue} \(queue\)"), ports.held():
        pytest.fail("there is no reason to start")
    listen(blob, reuse=False).close()
