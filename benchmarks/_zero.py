"""Identity, storage and a slot that answer at once, or after `--delay`: `python -m benchmarks._zero`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import cast

BOX = {"topX": 0.1, "topY": 0.2, "bottomX": 0.5, "bottomY": 0.6}
SCORED = json.dumps([{"boxes": [{"box": BOX, "label": f"class-{n % 5}", "score": 0.9 - n / 50} for n in range(20)]}])
TOKEN = json.dumps({"access_token": "t", "expires_on": "99999999999"})
WHEN = datetime(2026, 1, 1, tzinfo=UTC).isoformat()


def state(address: str) -> str:
    """The state document of a loop whose live model answers here."""
    champion = {
        "run": 1, "model": {"name": "vl-bench", "version": "1"}, "dataset_version": 1, "task": "object_detection",
        "classes": ["a"], "endpoint": "e", "slot": "blue", "scoring_uri": f"{address}/score", "metric": "m",
        "score": 0.5, "promoted": WHEN,
    }  # fmt: skip
    return json.dumps({"loop": "bench", "created": WHEN, "champion": champion})


class Server(asyncio.BufferedProtocol):
    """HTTP/1.1 with kept connections, as little as the measurement needs.

    All connections read into one piece of memory: what the stand-in takes of the cores is missing to what is measured.
    """

    _read = bytearray(1 << 18)

    def __init__(self, address: str, delay: float) -> None:
        """`delay` in seconds before a slot's answer."""
        self._address, self._delay = address, delay
        self._transport: asyncio.Transport | None = None
        self._head, self._missing, self._rest = b"", -1, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _: int) -> bytearray:
        """Where to read to."""
        return self._read

    def buffer_updated(self, count: int) -> None:
        """Count the body; what it holds is not looked at."""
        if self._missing < 0:
            self._rest += self._read[:count]
            head, end, body = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            self._head, self._rest = head, b""
            self._missing = _length(head) - len(body)
        else:
            self._missing -= count
        if self._missing == 0:
            self._missing = -1
            self._answer()

    def _answer(self) -> None:
        method, path = self._head.split(b" ", 2)[:2]
        if b"/score" in path:
            asyncio.get_running_loop().call_later(self._delay, self._write, SCORED) if self._delay else self._write(
                SCORED
            )
        elif method == b"PUT":
            self._write("", "201 Created")
        else:
            self._write(TOKEN if b"/msi/" in path else state(self._address))

    def _write(self, text: str, status: str = "200 OK") -> None:
        if self._transport is not None:
            head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
            self._transport.write((head + text).encode())


def _length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return next((int(value) for name, _, value in lines if name.strip().lower() == b"content-length"), 0)


async def serve(delay: float) -> None:
    """Print the port, and serve until stdin ends."""
    loop, found = asyncio.get_running_loop(), dict[str, str]()
    server = await loop.create_server(lambda: Server(found["address"], delay), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found["address"] = f"http://127.0.0.1:{port}"
    print(port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args().delay))
