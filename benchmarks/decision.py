"""From wake to decision for an unchanged loop of 300 images: the real SDK, Azurite, the controller in this process."""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

LOOP = "unchanged"
CONFIG = b"quiet_period_seconds: 0\ntraining: {first_threshold: {images: 100000}}\n"


def image(seed: int) -> bytes:
    """A small JPEG with a coloured square."""
    from PIL import Image

    colours = random.Random(seed)
    picture = Image.new("RGB", (320, 240), tuple(colours.randrange(256) for _ in range(3)))
    picture.paste((seed % 256, 0, 255), (40, 40, 120, 120))
    out = io.BytesIO()
    picture.save(out, "JPEG")
    return out.getvalue()


def coco(images: int) -> bytes:
    """One box an image."""
    listed = [{"id": n, "file_name": f"{n:06}.jpg", "width": 320, "height": 240} for n in range(images)]
    boxes = [
        {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [40, 40, 80, 80], "area": 6400, "iscrowd": 0}
        for n in range(images)
    ]
    return json.dumps(
        {"images": listed, "annotations": boxes, "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}
    ).encode()


def upload(images: int) -> None:
    """Put the loop into the data container."""
    from services import wiring

    store = wiring.data_store()
    store.write(f"{LOOP}/loop.yaml", CONFIG)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: store.write(f"{LOOP}/images/{n:06}.jpg", image(n)), range(images)))
    store.write(f"{LOOP}/labels/coco.json", coco(images))


def seconds_of_a_wake() -> float:
    """One look at the loop."""
    from services import wiring

    started = time.perf_counter()
    wiring.controller().wake(LOOP)
    return time.perf_counter() - started


def measure(images: int, rounds: int) -> dict[str, float]:
    """The first wakes register the version; those after find everything unchanged."""
    upload(images)
    first = seconds_of_a_wake()
    seconds_of_a_wake()
    again = [seconds_of_a_wake() for _ in range(rounds)]
    return {
        "images": images,
        "first_s": first,
        "unchanged_median_s": statistics.median(again),
        "unchanged_worst_s": max(again),
    }


def main() -> None:
    """Print the figures as JSON."""
    from tests.support.cloud_process import running_cloud

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_cloud(Path(folder), "--no-app"):
        print(json.dumps(measure(arguments.images, arguments.rounds), indent=2))


if __name__ == "__main__":
    main()
