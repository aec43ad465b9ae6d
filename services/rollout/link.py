"""Signed links to a question that a rollout waits for: nobody can make one without the key, nor use an old one.

A token is `<payload>.<mac>`, both base64url: the payload is JSON with loop, run, question and the second of expiry, the
mac HMAC-SHA256 over it. The key is made once and kept in the system container; it is in no list, log or answer.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime

from services.cloud.ports.storage import BlobStore
from services.errors import BadLink, ChangedMeanwhile, NotFound

KEY_FILE = "keys/approval.key"
KEY_BYTES = 32
MOST_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """What a link asks."""

    loop: str
    run: int
    number: str
    expires: datetime


def token(system: BlobStore, question: Question) -> str:
    """The token of a question; the same question has the same token."""
    fields = {"l": question.loop, "r": question.run, "q": question.number, "e": int(question.expires.timestamp())}
    payload = _text(json.dumps(fields, separators=(",", ":")).encode())
    return f"{payload}.{_text(_mac(system, payload))}"


def read(system: BlobStore, text: str, loop: str, now: datetime) -> Question:
    """The question of a token.

    Raises:
        BadLink: it is not ours, of another loop, or too old.
    """
    payload, dot, mac = text[:MOST_CHARACTERS].partition(".")
    if not dot or not hmac.compare_digest(_mac(system, payload), _bytes(mac)):
        raise BadLink("This link is not one that Visionloop made")
    fields = json.loads(_bytes(payload))
    if fields["l"] != loop:
        raise BadLink("This link is another loop's")
    if now.timestamp() >= fields["e"]:
        raise BadLink("This link is too old")
    return Question(loop, fields["r"], fields["q"], datetime.fromtimestamp(fields["e"], now.tzinfo))


def _mac(system: BlobStore, payload: str) -> bytes:
    return hmac.digest(_key(system), payload.encode(), hashlib.sha256)


def _key(system: BlobStore) -> bytes:
    """Made by whoever needs it first; of two at once one wins, and the other reads it."""
    try:
        return system.read(KEY_FILE).data
    except NotFound:
        key = secrets.token_bytes(KEY_BYTES)
    try:
        system.write(KEY_FILE, key, create=True)
    except ChangedMeanwhile:
        return system.read(KEY_FILE).data
    return key


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Nothing, where it is no base64url."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
