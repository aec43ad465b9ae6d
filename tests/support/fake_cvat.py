"""A CVAT server as far as a webhook's receiver meets it: four documents behind a token, and signed messages.

Written after CVAT's reference and the code of its server; the documents are those of `cvat_samples/`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

SAMPLES = Path(__file__).parent / "cvat_samples"
TOKEN = "7c1e.personal-access-token"
Answer = tuple[int, dict[str, str], bytes]


def sample(name: str) -> Any:
    """A document as the samples have it."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


class FakeCvat:
    """One job; `answer` may be replaced to answer anything to a path."""

    def __init__(self) -> None:
        self.job, self.annotations, self.meta = sample("job"), sample("annotations"), sample("meta")
        self.labels: list[dict[str, Any]] = sample("labels")["results"]
        self.page_size = 2
        self.asked: list[str] = []
        self.answer: Callable[[str], Answer | None] = lambda path: None
        self.url = ""

    def take(self, path: str, authorization: str) -> Answer:
        self.asked.append(path)
        if (found := self.answer(path)) is not None:
            return found
        if authorization != f"Bearer {TOKEN}":
            return 401, {}, json.dumps({"detail": f"Invalid token: {authorization}"}).encode()
        parts, number = urlsplit(path), self.job["id"]
        known = {
            f"/api/jobs/{number}": self.job,
            f"/api/jobs/{number}/annotations/": self.annotations,
            f"/api/jobs/{number}/data/meta": self.meta,
        }
        if parts.path == "/api/labels" and parse_qs(parts.query).get("job_id") == [str(number)]:
            return 200, {}, json.dumps(self._page(int(parse_qs(parts.query)["page"][0]))).encode()
        status = 200 if parts.path in known else 404
        return status, {}, json.dumps(known.get(parts.path, {"detail": "Not found."})).encode()

    def _page(self, number: int) -> dict[str, Any]:
        """Links lead to where the server thinks that it is, as behind a proxy."""
        first = (number - 1) * self.page_size
        more = first + self.page_size < len(self.labels)
        following = f"http://cvat-server:8080/api/labels?page={number + 1}" if more else None
        results = self.labels[first : first + self.page_size]
        return {"count": len(self.labels), "next": following, "previous": None, "results": results}

    def complete(self, url: str, secret: str, **job: Any) -> httpx.Response:
        """A person completes the job: the message that CVAT sends of it."""
        self.job |= {"state": "completed", **job}
        message = sample("update.job") | {"job": self.job}
        body = json.dumps(message).encode()
        signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-signature-256": signature}
        return httpx.post(url, content=body, headers=headers, timeout=60)


@contextmanager
def fake_cvat() -> Iterator[FakeCvat]:
    """One on a free port of this machine."""
    found = FakeCvat()

    class Handler(BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", -1

        def do_GET(self) -> None:
            status, headers, body = found.take(self.path, self.headers.get("authorization", ""))
            self.send_response(status)
            for name, value in ({"content-length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
