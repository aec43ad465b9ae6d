"""Asks a CVAT server for what a job holds: from the address that was checked, in bounded time and size."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import urllib3

from services.cloud.pinned import Deadline, pinned_pool
from services.cloud.upstream import retry_after
from services.errors import BadRequest, Upstream, UpstreamBusy, UpstreamRefused, UpstreamTimeout, UpstreamUnreached
from services.inbound.cvat import is_completed
from services.inbound.cvat_job import Documents
from services.webhooks.guard import Guard, Target

SECONDS = 60.0
"""For all of a job."""
MOST_BYTES = 64 * 2**20
"""Of one answer."""
MOST_PAGES = 50
"""Of labels, a hundred each."""
_CHUNK = 1 << 16
_KEY = re.compile(r"[0-9a-f]{40}")
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Server:
    """A CVAT server, and how we show who we are."""

    address: str
    token: str

    @property
    def authorization(self) -> str:
        """Personal access tokens are bearers; the older keys, 40 hexadecimal digits, have a word of their own."""
        return f"Token {self.token}" if _KEY.fullmatch(self.token) else f"Bearer {self.token}"


class CvatApi:
    """Any CVAT server that the guard lets us reach."""

    def __init__(self, guard: Guard) -> None:
        """`guard` resolves and checks."""
        self._guard = guard

    def documents(self, server: Server, job: int) -> Documents | None:
        """What a job holds now; None where it is not completed any more.

        Raises:
            UpstreamRefused: the server does not let us, or is none.
            Upstream: it does not answer as it should; later it may.
        """
        try:
            target, address = self._guard.check(server.address)
        except BadRequest as error:
            raise UpstreamRefused(f"CVAT is not asked: {error.detail}") from None
        if not target.secure and not ip_address(address).is_loopback:
            raise UpstreamRefused("CVAT is not asked: its address must begin with https://")
        port, host, deadline = target.port, target.host, Deadline(SECONDS)
        with deadline, pinned_pool(address, port, host, secure=target.secure, deadline=deadline) as pool:
            return _Session(pool, target, server, deadline).documents(job)


class _Session:
    """One connection, within which a job is asked for."""

    def __init__(self, pool: urllib3.HTTPConnectionPool, target: Target, server: Server, deadline: Deadline) -> None:
        self._pool, self._target, self._deadline = pool, target, deadline
        self._headers = {"host": target.authority, "accept": "application/json", "authorization": server.authorization}

    def documents(self, number: int) -> Documents | None:
        job = self._get(f"jobs/{number}")
        if not is_completed(job):
            return None
        annotations, meta = self._get(f"jobs/{number}/annotations/"), self._get(f"jobs/{number}/data/meta")
        return Documents(job, annotations, meta, [*self._labels(number)])

    def _labels(self, job: int) -> Iterator[Any]:
        """Pages are counted, not followed: a link leads where the server thinks that it is reached."""
        for page in range(1, MOST_PAGES + 1):
            found = self._get(f"labels?job_id={job}&page_size=100&page={page}")
            results = found.get("results")
            yield from results if isinstance(results, list) else ()
            if not found.get("next"):
                return
        raise UpstreamRefused(f"CVAT has more than {MOST_PAGES} pages of labels for job {job}")

    def _get(self, path: str) -> dict[str, Any]:
        what = f"GET /api/{path.partition('?')[0]}"
        try:
            found = json.loads(self._bytes(what, f"{self._target.path.rstrip('/')}/api/{path}"))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._check_time(what)
            raise _unanswered(what, error) from None
        except (ValueError, RecursionError):
            raise UpstreamRefused(
                f"CVAT's answer to {what} is no JSON: is the address that of a CVAT server?"
            ) from None
        if not isinstance(found, dict):
            raise UpstreamRefused(f"CVAT's answer to {what} is no object: is the address that of a CVAT server?")
        return found

    def _bytes(self, what: str, path: str) -> bytes:
        answer = self._pool.urlopen(
            "GET", path, headers=self._headers, redirect=False, retries=False, preload_content=False,
            decode_content=False, timeout=urllib3.Timeout(total=SECONDS),
        )  # fmt: skip
        try:
            self._check_time(what)
            _check_status(answer, what)
            data = self._read(answer, what)
        except BaseException:
            answer.close()  # what was not read is not waited for
            raise
        answer.release_conn()
        return data

    def _read(self, answer: urllib3.BaseHTTPResponse, what: str) -> bytes:
        found = bytearray()
        while chunk := answer.read1(_CHUNK):
            found += chunk
            if len(found) > MOST_BYTES:
                raise UpstreamRefused(f"CVAT's answer to {what} has more than {MOST_BYTES} bytes")
        self._check_time(what)
        return bytes(found)

    def _check_time(self, what: str) -> None:
        """An answer that was cut looks whole, or broken, where it is only late."""
        if self._deadline.over:
            raise UpstreamTimeout(
                f"CVAT did not answer {what} within {SECONDS:g} s, in which all of a job is asked for"
            )


def _unanswered(what: str, error: Exception) -> Upstream:
    """A connection that is refused is a timeout too, to urllib3."""
    is_late = isinstance(error, urllib3.exceptions.TimeoutError)
    if is_late and not isinstance(error, urllib3.exceptions.NewConnectionError):
        return UpstreamTimeout(f"CVAT did not answer {what} in time")
    return UpstreamUnreached(f"CVAT was not reached for {what}: {type(error).__name__}")


def _check_status(answer: urllib3.BaseHTTPResponse, what: str) -> None:
    """What it says beside its status is not repeated: a server may repeat our token."""
    if answer.status == 200:
        return
    said = f"CVAT answered {answer.status} to {what}"
    if answer.status in (429, 503):
        wait = retry_after(answer.headers)
        raise UpstreamBusy(said, **({"retry_after": wait} if wait is not None else {}))
    if answer.status in _AGAIN:
        raise Upstream(said)
    if answer.status in (401, 403, 404):
        raise UpstreamRefused(f"{said}: is the token still good, and may its user see the job?")
    raise UpstreamRefused(f"{said}: is the address that of a CVAT server? Redirects are not followed")
