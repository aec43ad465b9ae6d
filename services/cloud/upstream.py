"""Turns what Azure answers into the errors of services/errors.py: one place, no secrets."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from services.errors import (
    Conflict,
    NotFound,
    Upstream,
    UpstreamBusy,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreached,
    VisionloopError,
)

MOST_CHARACTERS = 400
_NAME = r"\w*(?:sig|token|key|secret|password|authorization)"
_UNSEEN = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0e-\x1f\x7f]")
"""azure-ai-ml colours what it refuses before it asks."""
_SECRET = re.compile(rf"""(?i)(\b{_NAME}["']?\s*[=:]\s*["']?(?:bearer\s+)?|\bbearer\s+)[^\s"'&,;]+""")
_MOVING = re.compile(r"(?i)in (?:creating|updating|deleting|scaling) provisioning state")
"""Azure ML's words for an endpoint that something else is being done to, whatever the status: it passes."""
_REFUSED = frozenset({400, 405, 406, 413, 414, 415, 422})


def upstream_error(status: int, headers: Mapping[str, str], what: str, said: str = "") -> VisionloopError:
    """The error of an HTTP answer; `what` was asked for, `said` is Azure's own message.

    Header names are matched as the mapping does: urllib3's and azure-core's ignore case.
    """
    detail = f"{what}: Azure answered {status}" + (f": {clean(said)}" if said else "")
    wait = retry_after(headers)
    if status in (429, 503):
        return UpstreamBusy(detail, **({"retry_after": wait} if wait is not None else {}))
    if status == 502:
        return UpstreamUnreached(detail)
    if status in (408, 504):
        return UpstreamTimeout(detail)
    if status == 404:
        return NotFound(detail)
    if status in (409, 412) or (status == 400 and _MOVING.search(said)):
        return Conflict(detail)
    return (UpstreamRefused if status in _REFUSED else Upstream)(detail)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a `Retry-After` header asks to wait, given as seconds or as a date (RFC 9110)."""
    value = headers.get("Retry-After") or ""
    if re.fullmatch(r" *[0-9]{1,9}(\.[0-9]+)? *", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def clean(text: str) -> str:
    """One line of limited length without anything that looks like a secret, nor colours of a terminal."""
    line = _SECRET.sub(r"\1***", " ".join(_UNSEEN.sub("", text).split()))
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"
