"""From uploaded images and labels to a registered dataset version, on COCO's sizes: seconds and peak memory."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CASES = {
    "azurite": "_ingest_cases.on_azurite",
    "metadata": "_ingest_cases.with_metadata",
    "stand-in": "_ingest_cases.in_process",
    "large": "_ingest_cases.large",
    "parse": "_ingest_parse.parse",
    "events": "_ingest_cases.events",
}
"""Where each case is; only the one that is measured is imported."""
EXPLAINED = {
    "azurite": "5,000 images, 36,781 boxes: wake to registered version on Azurite and the Azure ML emulator",
    "metadata": "the same, uploaded with what dev.py upload says of images",
    "stand-in": "the first in one process, without HTTP",
    "large": "118,287 images, 860,001 boxes in one process; then one image and its label more",
    "parse": "the large COCO file alone",
    "events": "10,000 upload events of one loop to a warm app",
}


def measured(name: str) -> dict[str, float]:
    """One case in a process of its own, so that its memory is its own."""
    command = [sys.executable, __file__, "--case", name, "--inside"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def inside(name: str) -> dict[str, float]:
    """Run a case here; `load_before` tells what else was under way."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        found = _case(name)(Path(folder))
        return {**found, "all_s": time.perf_counter() - started, "peak_mb": _peak(), "load_before": load}


def _case(name: str) -> Callable[[Path], dict[str, float]]:
    module, _, function = CASES[name].partition(".")
    found: Callable[[Path], dict[str, float]] = getattr(import_module(f"benchmarks.{module}"), function)
    return found


def _peak() -> float:
    """The most memory that this program had, in MB; the kernel's own figure counts the parent's too."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """The figures in Markdown."""
    rows = [
        f"| {EXPLAINED[name]} | {', '.join(f'{k} {v:,.4g}' for k, v in figures.items())} |"
        for name, figures in found.items()
    ]
    return "\n".join(["| case | figures |", "| --- | --- |", *rows])


def main() -> None:
    """Print the figures as JSON, then as a table."""
    explained = "\n".join(f"  {name:<9} {text}" for name, text in EXPLAINED.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"cases:\n{explained}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=CASES, action="append", help="only this one; may be repeated")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        print(json.dumps(inside(arguments.case[0])))
        return
    found = {name: measured(name) for name in arguments.case or CASES}
    print(json.dumps(found, indent=2))
    print(f"\n{table(found)}")


if __name__ == "__main__":
    main()
