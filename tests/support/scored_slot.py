"""A slot of an endpoint over HTTP on loopback, which answers as a test says."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Slot(ThreadingHTTPServer):
    """Answers as it is told to and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body, self.headers, self.delay = 200, b"[]", dict[str, str](), 0.0
        self.missing = 0
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.ports: list[int] = []
        """Of whoever asked."""

    def handle_error(self, *_: object) -> None:
        """A client that went away at its deadline is no news."""

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/online/nuts/score"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Slot

    def do_POST(self) -> None:
        self.server.ports.append(self.client_address[1])
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(({k.lower(): v for k, v in self.headers.items()}, body))
        time.sleep(self.server.delay)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body) + self.server.missing))
        self.end_headers()
        self.wfile.write(self.server.body)
        self.close_connection = bool(self.server.missing)

    def log_message(self, *_: object) -> None:
        return
