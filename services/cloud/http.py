"""The one connection pool of this process, for the calls that need no SDK."""

from __future__ import annotations

import ssl
from functools import cache

import urllib3


@cache
def pool() -> urllib3.PoolManager:
    """Pooled connections that trust what OpenSSL trusts (`SSL_CERT_FILE`), follow nothing and retry nothing."""
    return urllib3.PoolManager(
        num_pools=16,
        maxsize=64,
        ssl_context=ssl.create_default_context(),
        retries=urllib3.Retry(total=0, redirect=0, raise_on_redirect=False, raise_on_status=False),
    )
