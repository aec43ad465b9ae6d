"""Keeps deliveries from reaching what is not on the public internet: the name is resolved, checked, and pinned."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.errors import BadRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]
"""Host and port to addresses; raises OSError or UnicodeError where there are none."""
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All that is given out of IPv6; what lies beside it embeds, maps or translates IPv4."""
_REFUSED = [
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's platform
        "192.0.0.0/24",
        "192.88.99.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "2002::/16",
    )
]
"""What `is_global` calls public and is not, or leads to something that is not."""


def is_public(address: Address) -> bool:
    """Whether a delivery may go there."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in _GLOBAL_UNICAST:
            return False
    same = (network for network in _REFUSED if network.version == address.version)
    return address.is_global and not any(address in network for network in same)


@dataclass(frozen=True, slots=True)
class Target:
    """An address that was looked at: where to connect, and what to ask for there."""

    secure: bool
    host: str
    port: int
    authority: str
    """The Host header: the name as it was given, with its port if it had one."""
    path: str


def read_target(url: str, *, allow_http: bool) -> Target:
    """Take a receiver's address apart.

    Raises:
        BadRequest: saying what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        host, port = _ascii(parts.hostname or ""), parts.port
    except ValueError:
        raise BadRequest("url: it cannot be read as an address") from None
    if any(c <= " " or c in "\\\x7f" for c in url):
        raise BadRequest("url: blanks, control characters and backslashes are not taken")
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        raise BadRequest("url: it must begin with https://")
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise BadRequest("url: it must name a host, and have no user, password or fragment")
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    authority = parts.netloc if parts.netloc.isascii() else host if port is None else f"{host}:{port}"
    return Target(secure, host, port or (443 if secure else 80), authority, path)


def _ascii(host: str) -> str:
    """A name of other letters as it is looked up, certified and sent in a header."""
    return host if host.isascii() else host.encode("idna").decode()


def system_resolve(host: str, port: int) -> list[str]:
    """As the system resolves names."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Guard:
    """Says where a delivery may go."""

    def __init__(self, *, allow_local: bool, resolve: Resolve = system_resolve) -> None:
        """`allow_local` lets plain http and this machine be receivers, in development."""
        self._allow_local, self._resolve = allow_local, resolve

    def check(self, url: str) -> tuple[Target, str]:
        """The target and the one address to connect to: the first of a name all of whose addresses are public.

        Raises:
            BadRequest: the address is malformed, does not resolve, or leads to a place that is not public.
        """
        target = read_target(url, allow_http=self._allow_local)
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in self._look_up(target)]
        if not addresses:
            raise BadRequest(f"url: the host {target.host[:100]} cannot be found")
        if not all(self._is_allowed(address) for address in addresses):
            raise BadRequest(f"url: the host {target.host[:100]} leads to an address that is not public")
        return target, str(addresses[0])

    def _look_up(self, target: Target) -> list[str]:
        try:
            return self._resolve(target.host, target.port)
        except (OSError, UnicodeError):
            raise BadRequest(f"url: the host {target.host[:100]} cannot be found") from None

    def _is_allowed(self, address: Address) -> bool:
        return is_public(address) or (self._allow_local and address.is_loopback)
