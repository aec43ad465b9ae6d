"""Posts a delivery to the address that was checked, under the name that was asked for; follows nothing."""

from __future__ import annotations

import urllib3

from services.cloud.pinned import pinned_pool
from services.cloud.upstream import retry_after
from services.errors import BadRequest
from services.webhooks.deliver import ANSWER_CHARACTERS, Answer
from services.webhooks.guard import Guard, Target

TIMEOUT_SECONDS = 20.0


class HttpSender:
    """Sends over HTTP(S)."""

    def __init__(self, guard: Guard, timeout: float = TIMEOUT_SECONDS) -> None:
        """`guard` says where to connect; `timeout` in seconds is for the whole attempt."""
        self._guard, self._timeout = guard, timeout

    def __call__(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Post once; a redirect is an answer like any other."""
        try:
            target, address = self._guard.check(url)
            with pinned_pool(address, target.port, target.host, secure=target.secure) as pool:
                return self._post(pool, target, {**headers, "host": target.authority}, body)
        except BadRequest as error:
            return Answer(0, f"not sent: {error.detail}")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Answer(0, f"no answer: {type(error).__name__}")

    def _post(self, pool: urllib3.HTTPConnectionPool, target: Target, headers: dict[str, str], body: bytes) -> Answer:
        answer = pool.urlopen(
            "POST", target.path, body=body, headers=headers, redirect=False, retries=False, preload_content=False,
            timeout=urllib3.Timeout(total=self._timeout),
        )  # fmt: skip
        try:
            text = answer.read1(ANSWER_CHARACTERS, decode_content=False).decode(errors="replace")
        finally:
            answer.close()  # what comes after the first bytes is not waited for
        return Answer(answer.status, text, retry_after(answer.headers))
