"""What a receiver is to us: something that is asked, and answers or does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

ANSWER_CHARACTERS = 300
GONE = 410
"""Of one that wants nothing more: https://www.rfc-editor.org/rfc/rfc9110#section-15.5.11."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said; status 0 where there was no answer, and why in `body`."""

    status: int
    body: str = ""
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """By names whose case does not matter, where there was an answer."""


class Sender(Protocol):
    """Posts a body to a receiver; never raises for what the network or the receiver does."""

    def __call__(self, url: str, headers: dict[str, str], body: bytes) -> Answer: ...


class Ask(Protocol):
    """Sends a request to a receiver; never raises for what the network or the receiver does."""

    def __call__(self, method: str, url: str, headers: dict[str, str], body: bytes | None = None) -> Answer: ...
