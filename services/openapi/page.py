"""The page to read the document and to try it: one self-contained HTML file, which holds no key."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from services.status.page import headers_of


@cache
def page() -> str:
    """The HTML."""
    return (Path(__file__).parent / "explorer.html").read_text(encoding="utf-8")


@cache
def headers() -> dict[str, str]:
    """The page's headers."""
    return headers_of(page())
