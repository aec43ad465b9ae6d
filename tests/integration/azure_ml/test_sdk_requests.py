"""What the SDK sent in this folder's tests, held against Microsoft's published ARM schemas. Runs last, by its name.

Jobs are left out: one alone takes the checker a minute, and the end-to-end test has the one that the product submits.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import schemas
from tests.support.azure_ml_process import AzureML


def test_every_kind_of_write_fits_microsoft_s_schemas(prepared: None, emulator: AzureML, tmp_path: Path) -> None:
    assert prepared is None
    seen = [json.loads(line) for line in emulator.capture.read_text().splitlines()]
    assert all({"method", "path", "api_version", "body", "status"} <= set(request) for request in seen)
    capture = tmp_path / "capture.jsonl"
    capture.write_text("\n".join(json.dumps(request) for request in seen if "/jobs/" not in request["path"]))
    schemas.check(capture)
