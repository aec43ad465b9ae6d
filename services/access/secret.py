"""The text of a client key: `vlk_<id>_<secret>`. The id is public, the secret 256 random bits, kept as a hash only.

A hash that is slow on purpose would guard what people choose; 256 random bits nobody guesses from a SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import NamedTuple

SECRET_BYTES = 32
_TEXT = re.compile(r"vlk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


class Parts(NamedTuple):
    """What a key's text consists of."""

    id: str
    secret: str


def new_id() -> str:
    """An id that no other key has."""
    return secrets.token_hex(6)


def new_secret() -> str:
    """43 characters that may stand in a header and in an address."""
    return secrets.token_urlsafe(SECRET_BYTES)


def text(key_id: str, secret: str) -> str:
    """The key as its owner holds it."""
    return f"vlk_{key_id}_{secret}"


def parts(key: str) -> Parts | None:
    """The parts of a key; None where the text is none."""
    match = _TEXT.fullmatch(key)
    return Parts(match[1], match[2]) if match else None


def digest(secret: str) -> str:
    """What is kept of a secret: its SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()
