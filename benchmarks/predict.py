"""What the proxy adds to calling the slot directly, at 1 and 16 clients; needs a running demo (`dev.py demo`)."""

from __future__ import annotations

import argparse
import base64
import json
import os
import ssl
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import urllib3

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.drawing import draw  # noqa: E402

Call = Callable[[], None]


def calls(folder: Path, loop: str, image: bytes) -> tuple[Call, Call]:
    """The same image to the slot's own scoring address, and to the proxy."""
    cloud = json.loads((folder / "cloud.json").read_text())
    os.environ.update(cloud["environment"])
    pool = urllib3.PoolManager(maxsize=32, ssl_context=ssl.create_default_context(), retries=False)
    key = {"x-functions-key": cloud["keys"]["default"]}
    host = cloud["urls"]["host"]
    champion = pool.request("GET", f"{host}/api/loops/{loop}/status", headers=key).json()["champion"]
    body = json.dumps({"input_data": {"columns": ["image"], "data": [base64.b64encode(image).decode()]}}).encode()
    from services.cloud import identity

    direct_headers = {
        "authorization": f"Bearer {identity.token(identity.MACHINE_LEARNING)}",
        "content-type": "application/json",
        "azureml-model-deployment": champion["slot"],
    }

    def direct() -> None:
        _ok(pool.request("POST", champion["scoring_uri"], body=body, headers=direct_headers))

    def proxy() -> None:
        headers = {**key, "content-type": "image/jpeg"}
        _ok(pool.request("POST", f"{host}/api/loops/{loop}/predict", body=image, headers=headers))

    return direct, proxy


def _ok(answer: urllib3.BaseHTTPResponse) -> None:
    if answer.status != 200:
        raise SystemExit(f"The answer was {answer.status}: {answer.data[:300]!r}")


def times(call: Call, clients: int, requests: int) -> list[float]:
    """Milliseconds of each request."""

    def timed(_: int) -> float:
        started = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - started)

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(timed, range(requests)))


def measure(direct: Call, proxy: Call, clients: int, requests: int) -> dict[str, float]:
    """Both in turns, so that a busy machine slows both."""
    found: dict[str, list[float]] = {"direct": [], "proxy": []}
    for _ in range(4):
        for name, call in (("direct", direct), ("proxy", proxy)):
            found[name] += times(call, clients, requests // 4)
    middle = {name: statistics.median(values) for name, values in found.items()}
    p99 = {name: statistics.quantiles(values, n=100)[98] for name, values in found.items()}
    return {
        "clients": clients,
        "direct_p50_ms": middle["direct"],
        "proxy_p50_ms": middle["proxy"],
        "added_p50_ms": middle["proxy"] - middle["direct"],
        "direct_p99_ms": p99["direct"],
        "proxy_p99_ms": p99["proxy"],
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / ".visionloop")
    parser.add_argument("--loop", default="conveyor")
    parser.add_argument("--image", type=Path, help="a JPEG (default: a drawn one of the demonstration)")
    parser.add_argument("--requests", type=int, default=200)
    arguments = parser.parse_args()
    image = arguments.image.read_bytes() if arguments.image else next(draw(1, seed=1, prefix="picture")).data
    direct, proxy = calls(arguments.folder, arguments.loop, image)
    for call in (direct, proxy):
        times(call, 1, 5)
    print(json.dumps([measure(direct, proxy, clients, arguments.requests) for clients in (1, 16)], indent=2))


if __name__ == "__main__":
    main()
