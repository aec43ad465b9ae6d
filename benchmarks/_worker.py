"""The same functions in Microsoft's own worker library, without a host: `python -m benchmarks._worker FOLDER SECONDS`.

Prints p50 and CPU milliseconds of an invocation, the empty function and the prediction in turns.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import Any

from azure_functions_runtime import native_invocation
from azure_functions_runtime.bindings.datumdef import Datum

from benchmarks.proxy import image
from tests.support.worker_driver import datum, start


def http_datum(path: str, body: bytes, params: dict[str, str]) -> Datum:
    """An invocation's input."""
    asked = {"method": "POST", "path": path, "headers": {"content-type": "image/jpeg"}, "query": {}, "params": params}
    found = datum({"kind": "http", "input": {**asked, "body": ""}})
    found.value["body"] = Datum(body, "bytes")
    return found


async def turn(function: str, given: Datum, seconds: float) -> tuple[list[float], float]:
    """Milliseconds of each invocation one after the other, and CPU seconds of all."""
    took, cpu, ends = list[float](), time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < ends:
        began = time.perf_counter()
        answer: Any = await native_invocation.invocation_request_native("id", function, [("req", given)], {})
        took.append(1000 * (time.perf_counter() - began))
        if not answer[0] or int(answer[1].value["status_code"].value) != 200:
            raise SystemExit(f"The invocation failed: {answer[3] or answer[1].value['body'].value!r}")
    return took, time.process_time() - cpu


async def main() -> None:
    """Print the figures as JSON."""
    functions = await start(sys.argv[1])
    data, seconds = image(), float(sys.argv[2])
    given = {
        "noop": http_datum("/api/noop", data, {}),
        "predict": http_datum("/api/loops/bench/predict", data, {"loop": "bench"}),
    }
    found: dict[str, list[tuple[list[float], float]]] = {name: [] for name in given}
    for number in range(7):
        for name, value in given.items():
            taken = await turn(functions[name], value, seconds)
            if number:  # the first warms up
                found[name].append(taken)
    print(json.dumps({name: figures(turns) for name, turns in found.items()}))


def figures(turns: list[tuple[list[float], float]]) -> dict[str, float]:
    """Of one function; `best_` is of the turn that was disturbed least."""
    took = [one for times, _ in turns for one in times]
    found = {
        "p50_ms": statistics.median(took),
        "cpu_ms": 1000 * sum(cpu for _, cpu in turns) / len(took),
        "best_p50_ms": min(statistics.median(times) for times, _ in turns),
        "best_cpu_ms": min(1000 * cpu / len(times) for times, cpu in turns),
    }
    return {name: round(value, 3) for name, value in found.items()}


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    asyncio.run(main())
