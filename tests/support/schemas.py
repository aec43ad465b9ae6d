"""Holds what was sent to Azure ML against Microsoft's published ARM schemas, where ../shared has them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloud_process import ROOT

CHECKER = ROOT.parent / "shared" / "tools" / "check_azure_ml_requests.py"
PROVIDER = "/providers/Microsoft.MachineLearningServices/"
CRAWLED_ONCE = """
import runpy, sys
from referencing import Registry

add = Registry.with_resource
Registry.with_resource = lambda registry, *found, **named: add(registry, *found, **named).crawl()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs the checker, whose schemas of megabytes are else looked through anew at each reference: half a minute a job."""


def shape(value: object) -> object:
    """What a body is made of, without what it says: writes of one shape need one check."""
    if isinstance(value, dict):
        return {key: shape(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [shape(part) for part in value[:1]]
    return type(value).__name__


def distinct(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The accepted writes, one of each shape, which is enough to look at."""
    found: dict[str, dict[str, Any]] = {}
    for request in requests:
        if request["method"] == "PUT" and request["status"] < 300 and isinstance(request["body"], dict):
            kind = "/".join(request["path"].partition(PROVIDER)[2].split("/")[0::2])
            found.setdefault(json.dumps([kind, request["api_version"], shape(request["body"])]), request)
    return list(found.values())


def check(capture: Path) -> None:
    """Fail where a write does not fit; skip, saying so, where the schemas are missing."""
    if not CHECKER.exists():
        pytest.skip(f"needs {CHECKER.name} and the published schemas")
    reduced = capture.with_suffix(".distinct.jsonl")
    seen = [json.loads(line) for line in capture.read_text().splitlines()]
    reduced.write_text("\n".join(json.dumps(request) for request in distinct(seen)))
    checked = subprocess.run([sys.executable, "-c", CRAWLED_ONCE, CHECKER, reduced], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout[-3000:] + checked.stderr[-1000:]
    assert ", 0 wrong" in checked.stdout
