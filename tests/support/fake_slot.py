"""A slot that answers every request with what it serves; a model whose metrics say `broken` does not start.

It serves only once there is no file HOLD beside the file by which it says that it is ready.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOLD = "hold"
BOX = {"topX": 0.1, "topY": 0.1, "bottomX": 0.9, "bottomY": 0.9}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    classes: tuple[str, ...] = ()

    def do_GET(self) -> None:
        self.answer(200, {"live": True})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "input_data" not in body:
            self.answer(400, {"error": {"code": "BadRequest", "message": "no input_data"}})
            return
        box = {"box": BOX, "label": self.classes[0], "score": 0.9}
        self.answer(200, [{"boxes": [box]} for _ in body["input_data"]["data"]])

    def answer(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        print("scored", flush=True)


def end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    arguments = parser.parse_args()
    manifest = json.loads((arguments.model / "manifest.json").read_text())
    if "broken" in manifest["classes"]:
        sys.exit("this model does not load")
    Handler.classes = tuple(manifest["classes"])
    threading.Thread(target=end_with_parent, daemon=True).start()
    while (arguments.ready_file.parent / HOLD).exists():
        time.sleep(0.02)
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler)
    print("serving", manifest["task"], flush=True)
    arguments.ready_file.write_text(json.dumps({"port": server.server_port}))
    server.serve_forever()


if __name__ == "__main__":
    main()
