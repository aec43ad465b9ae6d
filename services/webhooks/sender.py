"""Posts a delivery to the address that was checked, under the name that was asked for; follows nothing."""

from __future__ import annotations

import urllib3

from services.cloud.pinned import Deadline, pinned_pool
from services.cloud.upstream import retry_after
from services.errors import BadRequest
from services.webhooks.guard import Guard, Target
from services.webhooks.receiver import ANSWER_CHARACTERS, Answer

TIMEOUT_SECONDS = 20.0
HANDSHAKE_SECONDS = 10.0
"""Somebody waits for it."""


class HttpSender:
    """Sends over HTTP(S)."""

    def __init__(self, guard: Guard, timeout: float = TIMEOUT_SECONDS) -> None:
        """`guard` says where to connect; `timeout` in seconds is for the whole attempt, once the name is resolved."""
        self._guard, self._timeout = guard, timeout

    def __call__(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Post once; a redirect is an answer like any other."""
        return self.ask("POST", url, headers, body)

    def ask(self, method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        """The same by another method."""
        try:
            target, address = self._guard.check(url)
        except BadRequest as error:
            return Answer(0, f"not sent: {error.detail}")
        with Deadline(self._timeout) as deadline:
            try:
                with pinned_pool(address, target.port, target.host, secure=target.secure, deadline=deadline) as pool:
                    found = self._open(pool, method, target, headers, body)
                    return _answer(found, deadline)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                why = f"Timeout, over {self._timeout:g} s" if deadline.over else type(error).__name__
                return Answer(0, f"no answer: {why}")

    def _open(
        self, pool: urllib3.HTTPConnectionPool, method: str, target: Target, headers: dict[str, str], body: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        return pool.urlopen(
            method, target.path, body=body, headers={**headers, "host": target.authority}, redirect=False,
            retries=False, preload_content=False, timeout=urllib3.Timeout(total=self._timeout),
        )  # fmt: skip


def _answer(found: urllib3.BaseHTTPResponse, deadline: Deadline) -> Answer:
    if deadline.over:
        raise TimeoutError  # a head that was cut looks whole
    return Answer(found.status, _beginning(found), retry_after(found.headers), found.headers)


def _beginning(answer: urllib3.BaseHTTPResponse) -> str:
    """The first bytes; what comes after them is not waited for, and a receiver that sends none has answered already."""
    try:
        return answer.read1(ANSWER_CHARACTERS, decode_content=False).decode(errors="replace")
    except (urllib3.exceptions.HTTPError, OSError):
        return ""
    finally:
        answer.close()
