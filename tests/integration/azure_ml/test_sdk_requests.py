"""What the SDK sent in this folder's tests, held against Microsoft's published ARM schemas. Runs last, by its name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.azure_ml_process import ROOT, AzureML

CHECKER = ROOT.parent / "shared" / "tools" / "check_azure_ml_requests.py"
PROVIDER = "/providers/Microsoft.MachineLearningServices/"


def resource_type(path: str) -> str:
    return "/".join(path.partition(PROVIDER)[2].split("/")[0::2])


def fullest(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The accepted write with the longest body of each kind: a job alone takes the checker a minute."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for request in requests:
        if request["method"] == "PUT" and request["status"] < 300 and request["body"]:
            kind = (resource_type(request["path"]), str(request["api_version"]))
            found[kind] = max(found.get(kind, request), request, key=lambda r: len(json.dumps(r["body"])))
    return list(found.values())


def test_every_kind_of_write_fits_microsoft_s_schemas(prepared: None, emulator: AzureML, tmp_path: Path) -> None:
    assert prepared is None
    seen = [json.loads(line) for line in emulator.capture.read_text().splitlines()]
    assert all({"method", "path", "api_version", "body", "status"} <= set(request) for request in seen)
    if not CHECKER.exists():
        pytest.skip("../shared/tools/check_azure_ml_requests.py is missing")
    capture = tmp_path / "capture.jsonl"
    capture.write_text("\n".join(json.dumps(request) for request in fullest(seen)))
    done = subprocess.run([sys.executable, str(CHECKER), str(capture)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith(" 0 wrong")
