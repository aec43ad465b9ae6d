"""How long senders wait for an answer: messages of generic sources, of Label Studio and of CVAT, on a local cloud."""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

Message = tuple[bytes, dict[str, str]]
NUMBERS = itertools.count(1)
LABEL = {"visionloop": 1, "labels": [{"label": "ace", "box": [1, 2, 30, 40]}]}
VALUE = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["ace"]}
RESULT = {"id": "a", "type": "rectanglelabels", "original_width": 200, "original_height": 100, "value": VALUE}


def generic(secret: str, count: int, size: int) -> Message:
    """So many items, each with a label and, where it has a size in bytes, an image."""
    from standardwebhooks import Webhook

    number, now = next(NUMBERS), datetime.now(UTC)
    image = {"image": base64.b64encode(os.urandom(size)).decode()} if size else {}
    body = json.dumps({"items": [{"name": f"{number}-{i}.jpg", "label": LABEL, **image} for i in range(count)]})
    signature = Webhook(secret).sign(f"m{number}", now, body)
    stamp = str(int(now.timestamp()))
    return body.encode(), {
        "webhook-id": f"m{number}", "webhook-timestamp": stamp, "webhook-signature": signature,
    }  # fmt: skip


def label_studio(secret: str, count: int) -> Message:
    """So many annotations at once, each of an image of its own."""
    numbers = [next(NUMBERS) for _ in range(count)]
    made = {"result": [RESULT], "updated_at": "2026-01-01T10:00:00Z"}
    annotations = [{"id": n, "task": n, **made} for n in numbers]
    tasks = [{"id": n, "data": {"image": f"cards/images/{n}.jpg"}} for n in numbers]
    message = {"action": "ANNOTATIONS_CREATED", "annotation": annotations, "task": tasks}
    return json.dumps(message).encode(), {"x-visionloop-secret": secret}


def cvat(secret: str) -> Message:
    """A job that is completed."""
    job = {"id": next(NUMBERS), "state": "completed", "updated_date": datetime.now(UTC).isoformat()}
    body = json.dumps({"event": "update:job", "job": job}).encode()
    return body, {"x-signature-256": "sha256=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex()}


CASES: dict[str, tuple[str, Callable[[str], Message]]] = {
    "a label": ("generic", lambda secret: generic(secret, 1, 0)),
    "16 labels": ("generic", lambda secret: generic(secret, 16, 0)),
    "16 images of 200 KB with labels": ("generic", lambda secret: generic(secret, 16, 200_000)),
    "2 images of 20 MB with labels": ("generic", lambda secret: generic(secret, 2, 20_000_000)),
    "16 images of 2.9 MB with labels": ("generic", lambda secret: generic(secret, 16, 2_900_000)),
    "Label Studio, 1 annotation": ("label_studio", lambda secret: label_studio(secret, 1)),
    "Label Studio, 4 annotations": ("label_studio", lambda secret: label_studio(secret, 4)),
    "Label Studio, 100 annotations": ("label_studio", lambda secret: label_studio(secret, 100)),
    "CVAT, a completed job": ("cvat", cvat),
}


@contextmanager
def sources() -> Iterator[tuple[Any, dict[str, Any]]]:
    """A client of a running app, and a source of each kind."""
    import httpx

    from tests.support.cloud_process import running_cloud
    from tests.support.user import User

    with tempfile.TemporaryDirectory() as folder, running_cloud(Path(folder) / "cloud") as cloud:
        user = User(cloud, "cards")
        user.upload("loop.yaml", b"task: object_detection\npaused: true\n")
        user.wait("the loop", lambda status: bool(status["loop"]), 60)
        made = {k: user.post("/inbound", json={"kind": k, "loop": "cards"}).json() for k, _ in CASES.values()}
        with httpx.Client(base_url=cloud.urls["host"], timeout=60) as client:
            yield client, made
        user.close()


def answered(client: Any, source: dict[str, Any], make: Callable[[str], Message], rounds: int) -> dict[str, float]:
    """Milliseconds from the first byte sent to the answer; the first message is not counted."""
    times: list[float] = []
    for _ in range(rounds + 1):
        body, headers = make(source["secret"])
        started = time.perf_counter()
        client.post(source["path"], content=body, headers=headers).raise_for_status()
        times.append(1000 * (time.perf_counter() - started))
    return {"megabytes": len(body) / 1e6, "median_ms": statistics.median(times[1:]), "worst_ms": max(times[1:])}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with sources() as (client, made):
        print(json.dumps({n: answered(client, made[k], make, rounds) for n, (k, make) in CASES.items()}, indent=2))


if __name__ == "__main__":
    main()
