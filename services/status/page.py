"""The status page: one self-contained HTML file, which reads the JSON documents with the key that a person gives it."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path


@cache
def page() -> str:
    """The HTML, with its style and its script in it."""
    html, style, script = (_file(f"dashboard.{kind}") for kind in ("html", "css", "js"))
    return html.replace("/* dashboard.css */", style).replace("/* dashboard.js */", script)


def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@cache
def headers() -> dict[str, str]:
    """The page's headers."""
    return headers_of(page())


def headers_of(html: str) -> dict[str, str]:
    """Nothing is loaded from elsewhere, and no script runs but the page's own, whose hash is told."""
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    return {
        "content-security-policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
