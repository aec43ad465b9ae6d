"""What a request says, as functions get it: read once, and only what there is."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope


class Asked:
    """A request without its body; names of headers are in lower case, as ASGI has them."""

    __slots__ = ("headers", "method", "query", "url")

    def __init__(self, scope: Scope) -> None:
        """What is given several times is joined by commas."""
        self.method: str = scope["method"]
        self.headers = texts((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        query: str = scope["query_string"].decode("latin-1")
        self.query = texts(parse_qsl(query, keep_blank_values=True)) if query else {}
        host = self.headers.get("host") or ":".join(map(str, scope["server"]))
        path = scope["raw_path"].decode("latin-1")
        self.url = f"{scope['scheme']}://{host}{path}" + (f"?{query}" if query else "")


def texts(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By name, in the order of the first of each."""
    found: dict[str, str] = {}
    for name, value in items:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


async def whole_body(receive: Receive) -> bytes:
    """All of a body.

    Raises:
        ClientDisconnect: the client went away before.
    """
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
