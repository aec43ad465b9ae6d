"""Keeps deliveries from reaching what is not on the public internet: the name is resolved, checked, and pinned."""

from __future__ import annotations

import ipaddress
import socket

from services.errors import BadRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_REFUSED = [
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's platform
        "192.0.0.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/23",
        "2002::/16",
        "fec0::/10",
        "ff00::/8",
    )
]
"""What `is_global` calls public and is not, or leads to something that is not."""


def is_public(address: Address) -> bool:
    """Whether a delivery may go there."""
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return is_public(mapped)
    same = (network for network in _REFUSED if network.version == address.version)
    return address.is_global and not address.is_multicast and not any(address in network for network in same)


def resolve(host: str, port: int, *, allow_local: bool) -> str:
    """The address to connect to: the first of a name all of whose addresses are public.

    Raises:
        BadRequest: the name does not resolve, or leads to a place that is not public.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise BadRequest(f"The host {host[:100]} cannot be found") from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        if not is_public(address) and not (allow_local and address.is_loopback):
            raise BadRequest(f"The host {host[:100]} leads to an address that is not public")
    return str(addresses[0])
