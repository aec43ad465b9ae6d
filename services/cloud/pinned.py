"""Connections to an address that was checked, under the name asked for, so that no second look-up leads elsewhere."""

from __future__ import annotations

import ssl
from functools import cache

import urllib3


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def pinned_pool(address: str, port: int, host: str, *, secure: bool) -> urllib3.HTTPConnectionPool:
    """One connection to `address`; the certificate is held against `host`."""
    if not secure:
        return urllib3.HTTPConnectionPool(address, port, maxsize=1)
    return urllib3.HTTPSConnectionPool(
        address, port, maxsize=1, ssl_context=_tls(), server_hostname=host, assert_hostname=host
    )
