"""Fetches an image from an address that a caller names, and from nowhere that a caller should not reach."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from ipaddress import ip_address

import urllib3

from services.cloud.pinned import Deadline, pinned_pool
from services.errors import BadRequest, TooLarge
from services.webhooks.guard import Guard, Target

SECONDS = 10.0
"""For all of it: connecting, waiting and reading."""
_CHUNK = 1 << 16


class ImageFetcher:
    """Gets images over https; from this machine over http too, where the guard allows it."""

    def __init__(self, guard: Guard, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`guard` resolves and checks, `clock` is in seconds."""
        self._guard, self._most, self._clock = guard, most_bytes, clock

    def __call__(self, url: str, seconds: float = math.inf) -> bytes:
        """The bytes at an address, within so many seconds where that is less than it has anyway.

        Redirects are not followed: where they lead was not checked.

        Raises:
            BadRequest: the address is refused, or does not answer with 200 in time.
            TooLarge: the answer is over the limit of an image.
        """
        seconds = min(seconds, SECONDS)
        target, address = self._guard.check(url)
        if not target.secure and not ip_address(address).is_loopback:
            raise BadRequest("url: it must begin with https://")
        try:
            with Deadline(seconds) as deadline:
                with pinned_pool(address, target.port, target.host, secure=target.secure, deadline=deadline) as pool:
                    found = self._get(pool, target, seconds)
                if deadline.over:
                    raise TimeoutError  # a head that was cut looks whole
                return found
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise BadRequest(f"url: no answer from {target.host[:100]}: {type(error).__name__}") from None

    def _get(self, pool: urllib3.HTTPConnectionPool, target: Target, seconds: float) -> bytes:
        ends = self._clock() + seconds
        answer = pool.urlopen(
            "GET", target.path, headers={"host": target.authority, "accept": "image/*"}, redirect=False, retries=False,
            preload_content=False, decode_content=False, timeout=urllib3.Timeout(total=seconds),
        )  # fmt: skip
        try:
            if answer.status != 200:
                hint = "; redirects are not followed" if 300 <= answer.status < 400 else ""
                raise BadRequest(f"url: {target.host[:100]} answered {answer.status}{hint}")
            return self._read(answer, ends, seconds)
        finally:
            answer.close()

    def _read(self, answer: urllib3.BaseHTTPResponse, ends: float, seconds: float) -> bytes:
        found = bytearray()
        while chunk := answer.read1(_CHUNK):
            found += chunk
            if len(found) > self._most:
                limit = self._most
                raise TooLarge(f"url: the image is over VISIONLOOP_MAX_IMAGE_BYTES = {limit}", limit=limit)
            if self._clock() > ends:
                raise BadRequest(f"url: the image did not arrive within {seconds:g} s")
        return bytes(found)
