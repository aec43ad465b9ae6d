"""What the proxy adds: client, our functions host and a slot that takes no time, or 50 ms, on this machine, in turns
with the slot alone and with a function that does nothing; and with nginx, where it is installed.

`nice` it, and keep the machine quiet: figures that stand beside each other are from one run.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks._load import load, request  # noqa: E402

APP = """
import azure.functions as func
from triggers import predict

app = func.FunctionApp()
app.register_functions(predict.blueprint)

@app.function_name("noop")
@app.route("noop", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
def noop(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(b"{}" if req.get_body() else b"", mimetype="application/json")

@app.function_name("noop_async")
@app.route("noop_async", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
async def noop_async(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(b"{}" if req.get_body() else b"", mimetype="application/json")
"""
KEY = "bench"
NGINX = """worker_processes 1; error_log stderr; pid {folder}/nginx.pid; daemon off;
events {{ worker_connections 512; }}
http {{ access_log off; keepalive_requests 100000000;
client_max_body_size 10m; client_body_buffer_size 1m; client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy; upstream slot {{ server 127.0.0.1:{slot}; keepalive 64;
keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://slot; proxy_http_version 1.1;
proxy_set_header Connection ""; }} }} }}"""


@dataclass
class Turn:
    """Latencies in milliseconds, CPU and elapsed seconds."""

    took: list[float]
    cpu: float
    seconds: float


@dataclass
class Way:
    """A way that is measured: where to, what is sent, and whose CPU time counts."""

    port: int
    sent: bytes
    process: psutil.Process | None = None
    turns: list[Turn] = field(default_factory=list)

    def turn(self, clients: int, seconds: float) -> None:
        """Measure for a while."""
        before, began = self._cpu(), time.perf_counter()
        took = asyncio.run(load(self.port, self.sent, clients, seconds))
        self.turns.append(Turn(took, self._cpu() - before, time.perf_counter() - began))

    def _cpu(self) -> float:
        processes = [self.process, *self.process.children()] if self.process else []
        return float(sum(sum(p.cpu_times()[:2]) for p in processes))

    def figures(self) -> dict[str, float]:
        """Latencies, throughput and CPU time of a request; `best_` is of the turn that was disturbed least."""
        took = [one for turn in self.turns for one in turn.took]
        found = {
            "p50_ms": statistics.median(took),
            "p99_ms": statistics.quantiles(took, n=100)[98],
            "per_second": len(took) / sum(turn.seconds for turn in self.turns),
            "best_p50_ms": min(statistics.median(turn.took) for turn in self.turns),
        }
        if self.process:
            cpu = sum(turn.cpu for turn in self.turns)
            found |= {"cpu_ms": 1000 * cpu / len(took), "per_core_second": len(took) / cpu}
            found["best_cpu_ms"] = min(1000 * turn.cpu / len(turn.took) for turn in self.turns)
        return {name: round(value, 3) for name, value in found.items()}


@contextmanager
def process(arguments: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A child that ends with the block."""
    child = subprocess.Popen(arguments, cwd=ROOT, text=True, stdin=subprocess.PIPE, **options)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(20)


@contextmanager
def slot(delay: float) -> Iterator[int]:
    """The port of the stand-in."""
    arguments = [sys.executable, "-m", "benchmarks._zero", "--delay", str(delay)]
    with process(arguments, stdout=subprocess.PIPE) as child:
        yield int(child.stdout.readline() if child.stdout else 0)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Return once somebody listens."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("The host did not start")


def app_folder(folder: Path) -> Path:
    """The product's function of predictions and two that do nothing, as they would be deployed."""
    folder.mkdir()
    (folder / "function_app.py").write_text(APP)
    (folder / "host.json").write_text((ROOT / "host.json").read_text())
    (folder / "keys.json").write_text(json.dumps({"default": KEY, "master": KEY}))
    return folder


def environment(slot_port: int) -> dict[str, str]:
    """App settings that lead to the stand-in."""
    address = f"http://127.0.0.1:{slot_port}"
    names = ("DataStorage__blobServiceUri", "SystemStorage__blobServiceUri", "SystemStorage__queueServiceUri")
    found = {**os.environ, **dict.fromkeys(names, address), "PYTHONPATH": str(ROOT)}
    found |= {"VISIONLOOP_SUBSCRIPTION_ID": "s", "VISIONLOOP_RESOURCE_GROUP": "g", "VISIONLOOP_WORKSPACE": "w"}
    return found | {"IDENTITY_ENDPOINT": f"{address}/msi/token"}


@contextmanager
def host(folder: Path, slot_port: int, workers: int = 1) -> Iterator[tuple[int, psutil.Process]]:
    """Our functions host with these functions, in so many worker processes."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks._quiet_host", "--app", str(folder), "--port", str(port)]
    found = {**environment(slot_port), "FUNCTIONS_WORKER_PROCESS_COUNT": str(workers)}
    options: dict[str, Any] = {"env": found, "stdout": subprocess.DEVNULL}
    with process([*command, "--keys", str(folder / "keys.json")], **options) as child:
        wait_for(port)
        time.sleep(2.0 * (workers > 1))  # the others listen a little later than the first, or before
        yield port, psutil.Process(child.pid)


def in_worker(seconds: float) -> dict[str, Any]:
    """The same through Microsoft's worker library, which is installed with the tests' packages."""
    with tempfile.TemporaryDirectory() as folder, slot(0.0) as port:
        command = [sys.executable, "-m", "benchmarks._worker", str(app_folder(Path(folder) / "app")), str(seconds)]
        done = subprocess.run(command, cwd=ROOT, env=environment(port), text=True, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    added = {f"added_{n}": round(found["predict"][n] - found["noop"][n], 3) for n in ("p50_ms", "best_p50_ms")}
    return found | added


@contextmanager
def nginx(folder: Path, slot_port: int) -> Iterator[tuple[int, psutil.Process | None]]:
    """Nginx before the slot; port 0 where it is not installed."""
    program = shutil.which("nginx")
    if program is None:
        print("nginx is not installed: left out", file=sys.stderr)
        yield 0, None
        return
    folder.mkdir()
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, slot=slot_port, port=port))
    with process([program, "-p", str(folder), "-c", str(folder / "nginx.conf")]) as child:
        wait_for(port)
        yield port, next(iter(psutil.Process(child.pid).children()), None)


def image(size: int = 200_000) -> bytes:
    """A JPEG of a usual header, filled up to `size` bytes: nobody decodes it here."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (1280, 960), (90, 120, 60)).save(out, "JPEG")
    return out.getvalue() + bytes(os.urandom(size - out.tell()))


def ways(host_port: int, found: psutil.Process, slot_port: int, nginx_port: int, nginx_process: Any) -> dict[str, Way]:
    """What is measured beside each other."""
    data = image()
    scoring = json.dumps({"input_data": {"columns": ["image"], "data": [base64.b64encode(data).decode()]}}).encode()
    headers = {"x-functions-key": KEY, "content-type": "image/jpeg"}
    direct = request("/score", scoring, {"content-type": "application/json"})
    made = {
        "direct": Way(slot_port, direct),
        "noop": Way(host_port, request("/api/noop", data, headers), found),
        "noop_async": Way(host_port, request("/api/noop_async", data, headers), found),
        "proxy": Way(host_port, request("/api/loops/bench/predict", data, headers), found),
    }
    return {**made, "nginx": Way(nginx_port, direct, nginx_process)} if nginx_port else made


def measure(
    delay: float, clients: list[int], rounds: int, seconds: float, only: set[str], workers: int = 1
) -> list[dict[str, Any]]:
    """All ways in turns, for each number of clients."""
    results = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        slot_port = stack.enter_context(slot(delay))
        host_port, found = stack.enter_context(host(app_folder(folder / "app"), slot_port, workers))
        front = stack.enter_context(nginx(folder / "nginx", slot_port))
        for count in clients:
            measured = {n: w for n, w in ways(host_port, found, slot_port, *front).items() if not only or n in only}
            for way in measured.values():
                way.turn(max(count, 8 * workers), 0.3)  # every process makes its first prediction here
                way.turns.clear()
            for _ in range(rounds):
                for way in measured.values():
                    way.turn(count, seconds)
            compared = _compared(delay, count, {name: way.figures() for name, way in measured.items()})
            results.append({"worker_processes": workers, **compared})
    return results


def _compared(delay: float, clients: int, found: dict[str, dict[str, float]]) -> dict[str, Any]:
    line: dict[str, Any] = {"slot_ms": 1000 * delay, "clients": clients, **found}
    if "proxy" in found and "noop" in found:
        for name in ("p50_ms", "best_p50_ms"):
            line[f"added_over_noop_{name}"] = round(found["proxy"][name] - found["noop"][name], 3)
    if "proxy" in found and "direct" in found:
        line["times_direct_p50"] = round(found["proxy"]["p50_ms"] / found["direct"]["p50_ms"], 3)
        line["times_direct_best_p50"] = round(found["proxy"]["best_p50_ms"] / found["direct"]["best_p50_ms"], 3)
        line["times_direct_throughput"] = round(found["direct"]["per_second"] / found["proxy"]["per_second"], 3)
    return line


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn")
    parser.add_argument("--ways", nargs="*", default=[], help="only these: direct, noop, noop_async, proxy, nginx")
    parser.add_argument("--worker", action="store_true", help="through Microsoft's worker library too")
    parser.add_argument("--processes", type=int, default=1, help="of the host's workers, before the slot of 50 ms")
    parser.add_argument("--fast-only", action="store_true", help="leave out the slot of 50 ms")
    arguments = parser.parse_args()
    options = (arguments.rounds, arguments.seconds, set(arguments.ways))
    load_before = os.getloadavg()[0]
    results = measure(0.0, [1, 16], *options)
    if not arguments.fast_only:
        results += measure(0.05, [1, 16, 64], *options, arguments.processes)
    found: dict[str, Any] = {"load_before": round(load_before, 2), "cores": os.cpu_count(), "results": results}
    if arguments.worker:
        found["in_microsofts_worker"] = in_worker(arguments.seconds)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
