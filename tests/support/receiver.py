"""An independent webhook receiver: it verifies Standard Webhooks with its own few lines of HMAC."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.small_server import Handler, serving


class Receiver:
    """What arrived, and whether its signature was right."""

    def __init__(self) -> None:
        self.secret = ""
        self.events: list[dict[str, Any]] = []
        self.forged: list[bytes] = []
        self.url = ""

    def take(self, headers: dict[str, str], body: bytes) -> int:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        right = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        if not any(hmac.compare_digest(right, found) for found in headers["webhook-signature"].split()):
            self.forged.append(body)
            return 401
        self.events.append(json.loads(body))
        return 204

    def ids(self) -> set[str]:
        return {str(e["id"]) for e in self.events}

    def kinds(self) -> set[str]:
        return {str(e["type"]).removeprefix("visionloop.") for e in self.events}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    receiver = Receiver()

    class Hook(Handler):
        def do_POST(self) -> None:
            headers = {k.lower(): v for k, v in self.headers.items()}
            self.answer(receiver.take(headers, self.body()))

    with serving(Hook) as address:
        receiver.url = f"{address}/hook"
        yield receiver
