"""How soon the local cloud is ready, and what importing the app costs over importing its two libraries."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

FLOOR = "import azure.functions, pydantic"
APP = "import function_app"


def import_seconds(statement: str) -> float:
    """Wall time of one fresh interpreter that runs the statement, the interpreter's own start included."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=True)
    return time.perf_counter() - started


def import_ratio(rounds: int) -> dict[str, float]:
    """Best of `rounds`, taken in turns so that a busy machine slows both."""
    times = [(import_seconds("pass"), import_seconds(FLOOR), import_seconds(APP)) for _ in range(rounds)]
    nothing, floor, app = (min(column) for column in zip(*times, strict=True))
    return {
        "floor_ms": 1000 * (floor - nothing),
        "app_ms": 1000 * (app - nothing),
        "ratio": (app - nothing) / (floor - nothing),
    }


def ready_seconds(rounds: int) -> dict[str, float]:
    """From the command to the ready file, over the same folder: what a second `serve` costs."""
    from tests.support.cloud_process import CloudProcess

    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds + 1):
            cloud = CloudProcess(Path(folder))
            started = time.perf_counter()
            cloud.start()
            times.append(time.perf_counter() - started)
            cloud.stop()
    return {"first_s": times[0], "again_median_s": statistics.median(times[1:]), "again_worst_s": max(times[1:])}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(json.dumps({"import": import_ratio(rounds), "serve": ready_seconds(rounds)}, indent=2))


if __name__ == "__main__":
    main()
