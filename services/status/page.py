"""The status page: one self-contained HTML file, which reads the JSON documents with the key that a person gives it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@cache
def page() -> str:
    """The HTML."""
    return (Path(__file__).parent / "dashboard.html").read_text(encoding="utf-8")
