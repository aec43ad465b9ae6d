"""What a caller asks for beside the images, by query and headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.errors import BadRequest
from services.inference.render import DRAWN_SCORE, Format

_RENDER: dict[str, Format | None] = {"": None, "false": None, "true": "PNG", "png": "PNG", "jpeg": "JPEG"}
_ACCEPTED: dict[str, Format | None] = {
    "application/json": None, "application/*": None, "*/*": None, "image/png": "PNG", "image/jpeg": "JPEG",
    "image/*": "JPEG",
}  # fmt: skip
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async\s*(?:$|[,;])", re.IGNORECASE)
MOST_RESULTS = 1000


@dataclass(frozen=True, slots=True)
class Wishes:
    """`threshold` from 0 to 1, `deadline` in seconds from now; empty texts where nothing was asked for."""

    threshold: float
    top: int
    drawn: Format | None
    deadline: float
    slot: str = ""
    version: str = ""
    client: str = ""
    """Requests of one client stay with one slot while traffic moves."""
    preferred: bool = False
    """Whether the deadline came by `Prefer`, which is answered."""


def read_wishes(query: Mapping[str, str], headers: Mapping[str, str], most_seconds: float) -> Wishes:
    """Read them; `headers` has names in lower case.

    Raises:
        BadRequest: naming what makes no sense.
    """
    drawn = _drawn(query.get("render"), headers.get("accept", ""))
    ends, preferred = deadline(headers, most_seconds)
    return Wishes(
        _threshold(query.get("threshold"), DRAWN_SCORE if drawn else 0.0),
        _top(query.get("top_k")),
        drawn,
        ends,
        query.get("slot", ""),
        query.get("version", ""),
        _client(headers),
        preferred,
    )


def wants_later(headers: Mapping[str, str]) -> bool:
    """Whether the caller prefers not to wait (RFC 7240)."""
    return bool(_ASYNC.search(headers.get("prefer", "")))


def deadline(headers: Mapping[str, str], most_seconds: float) -> tuple[float, bool]:
    """Seconds that the caller waits, and whether `Prefer: wait=<seconds>` (RFC 7240) said so; else `x-deadline-ms`.

    Raises:
        BadRequest: the header is no number of milliseconds.
    """
    if text := headers.get("x-deadline-ms"):
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
            raise BadRequest("x-deadline-ms must be a whole number of milliseconds, at least 1")
        return min(most_seconds, int(text) / 1000), False
    match = _WAIT.search(headers.get("prefer", ""))
    return (min(most_seconds, max(1.0, float(match[1]))), True) if match else (most_seconds, False)


def accepted(accept: str) -> Format | None:
    """The picture that an Accept header wants before JSON; None where it is JSON, or nothing that there is."""
    best, chosen = 0.0, None
    for part in accept.lower().split(","):
        kind, *parameters = (text.strip() for text in part.split(";"))
        weight = _weight(parameters)
        if kind in _ACCEPTED and weight > best:
            best, chosen = weight, _ACCEPTED[kind]
    return chosen


def _weight(parameters: list[str]) -> float:
    text = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    return float(text) if re.fullmatch(r"[01](\.[0-9]{0,3})?", text) else 0.0


def _drawn(render: str | None, accept: str) -> Format | None:
    if render is None:
        return accepted(accept) if accept else None
    if render.lower() not in _RENDER:
        raise BadRequest("render must be true, false, png or jpeg")
    return _RENDER[render.lower()]


def _threshold(text: str | None, otherwise: float) -> float:
    try:
        value = float(text) if text else otherwise
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise BadRequest("threshold must be a number from 0 to 1")
    return value


def _top(text: str | None) -> int:
    if not text:
        return MOST_RESULTS
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MOST_RESULTS:
        raise BadRequest(f"top_k must be a whole number from 1 to {MOST_RESULTS}")
    return int(text)


def _client(headers: Mapping[str, str]) -> str:
    """Who asks: as they say themselves, else by their address, which Azure gives with the port."""
    if named := headers.get("x-client-key", ""):
        return named
    address = headers.get("x-forwarded-for", "").partition(",")[0].strip()
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
