"""Posts a delivery to the address that was checked, under the name that was asked for; follows nothing."""

from __future__ import annotations

import ssl
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import urlsplit

import urllib3

from services.errors import BadRequest
from services.webhooks.deliver import ANSWER_CHARACTERS, Answer
from services.webhooks.guard import resolve

TIMEOUT_SECONDS = 20.0


class HttpSender:
    """Sends over HTTP(S)."""

    def __init__(self, *, allow_local: bool) -> None:
        """`allow_local` lets loopback be a receiver, in development."""
        self._allow_local = allow_local

    def __call__(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Post once; a redirect is an answer like any other."""
        parts = urlsplit(url)
        secure, host = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            address = resolve(host, port, allow_local=self._allow_local)
            with _connection(address, port, host, secure=secure) as pool:
                answer = pool.urlopen(
                    "POST", target, body=body, headers={**headers, "host": parts.netloc}, redirect=False,
                    retries=False, preload_content=False, timeout=TIMEOUT_SECONDS,
                )  # fmt: skip
                text = answer.read(ANSWER_CHARACTERS * 4).decode(errors="replace")
        except BadRequest as error:
            return Answer(0, error.detail)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Answer(0, f"no answer: {type(error).__name__}")
        return Answer(answer.status, text, _seconds(answer.headers.get("retry-after")))


def _connection(address: str, port: int, host: str, *, secure: bool) -> urllib3.HTTPConnectionPool:
    if not secure:
        return urllib3.HTTPConnectionPool(address, port, maxsize=1)
    return urllib3.HTTPSConnectionPool(
        address, port, maxsize=1, ssl_context=ssl.create_default_context(), server_hostname=host, assert_hostname=host
    )


def _seconds(text: str | None) -> float | None:
    """Retry-After, as seconds or as a date."""
    if not text:
        return None
    try:
        return max(0.0, float(text) if text.strip().isdigit() else parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, TypeError):
        return None
