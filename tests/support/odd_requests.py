"""What nobody should send: names, bodies and queries for every operation of the app."""

from __future__ import annotations

from services.openapi.table import Operation

USUAL = {
    "loop": "cards",
    "number": "1",
    "version": "1",
    "id": "ep_0",
    "delivery": "msg_0",
    "word": "hold",
    "probe": "live",
    "type": "visionloop.webhook.test",
}
ODD = [
    dict.fromkeys(USUAL, "nobody"), dict.fromkeys(USUAL, "%00"), dict.fromkeys(USUAL, "%2e%2e"),
    dict.fromkeys(USUAL, "x" * 300), dict.fromkeys(USUAL, "%C3%A9%F0%9F%98%80"), dict.fromkeys(USUAL, "A'\"<b>;--"),
]  # fmt: skip
BODIES = {
    "nothing": b"", "half": b'{"a": ', "bytes": b"\xff\xfe\x00", "number": b"7", "null": b"null", "list": b"[]",
    "unknown": b'{"unknown": 1}', "deep": b"[" * 100_000, "wrong": b'{"url": 1, "since": "x", "by": [], "inputs": {}}',
    "text": b"a=b&a=c&%%%", "huge number": b'{"run": 1' + b"0" * 5000 + b"}", "surrogate": b'{"by": "\\ud800"}',
}  # fmt: skip
TYPES = ("application/json", "multipart/form-data; boundary=x", "multipart/form-data", "image/jpeg", "")
ODD_QUERY = (
    "?limit=x&offset=-1&before=x&severity=x&kind=x&format=x&metric=%00&deep=true&token=x.y&threshold=nan&top_k=0"
    "&render=x&slot=x&version=x&notify=x&code=x"
)


def address(operation: Operation, values: dict[str, str]) -> str:
    return "/api/" + operation.path.format(**values)
