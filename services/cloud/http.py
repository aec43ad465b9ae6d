"""The one connection pool of this process, for the calls that need no SDK."""

from __future__ import annotations

import ssl
from functools import cache, lru_cache

import urllib3


@cache
def pool() -> urllib3.PoolManager:
    """Pooled connections that trust what OpenSSL trusts (`SSL_CERT_FILE`), follow nothing and retry nothing."""
    return urllib3.PoolManager(
        num_pools=256,  # more than `target` keeps, so that none of those is closed
        maxsize=64,
        ssl_context=ssl.create_default_context(),
        retries=urllib3.Retry(total=0, redirect=0, raise_on_redirect=False, raise_on_status=False),
    )


@lru_cache(maxsize=64)
def target(url: str) -> tuple[urllib3.HTTPConnectionPool, str]:
    """The pool's connections to an address, and the path to ask for there: looked up once, as it is no small cost."""
    return pool().connection_from_url(url), urllib3.util.parse_url(url).request_uri
