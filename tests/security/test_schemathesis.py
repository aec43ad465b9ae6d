"""schemathesis asks every route of the document what nobody thought of: no 5xx, no answer that is not documented.

The app is over fakes behind our host, on a socket: a search that reached real storage would wait for it mostly. What it
asks is the same at every run, as long as the document and schemathesis are; with the others of `python3 dev.py test
--deep` it asks a hundred times as much, and something else each time.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.openapi.table import OPERATIONS
from tests.support.hostile import DEEP

ROOT = Path(__file__).resolve().parents[2]
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "ignored_auth",
)  # fmt: skip
EXAMPLES, LEAST = (200 if DEEP else 2), 3000
"""Random requests of each route, beside those that cover its schema; and how many of all there are. Bounded by number, as
a bound of time would ask less of a slow machine: 30 s of one core."""


@contextmanager
def hosted(folder: Path) -> Iterator[dict[str, Any]]:
    """The address and keys of a running app, see tests/support/faked_host.py."""
    command = [sys.executable, "-m", "tests.support.faked_host", str(folder)]
    with (folder / "host.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, (folder / "host.log").read_text()[-3000:]
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def config(found: dict[str, Any]) -> str:
    """What things are called, without which a search asks for what is not there; what may go has names of its own."""
    fixed = {"loop": "cards", "number": "1", "version": "1", "delivery": found["delivery"]}
    password = base64.b64encode(f"visionloop:{found['label_studio']}".encode()).decode()
    lines = [f'[auth.openapi]\nheader = {{ api_key = "{found["key"]}" }}\nclient = {{ api_key = "{found["client"]}" }}']
    lines += ["[parameters]", *(f'"path.{name}" = "{value}"' for name, value in fixed.items())]
    for part, one in found["ids"].items():
        lines += ["[[operations]]", f'include-path-regex = "/{part}/{{id}}"', f'parameters = {{ "path.id" = "{one}" }}']
    for part, one in found["doomed"].items():
        lines += ["[[operations]]", f'include-path-regex = "/{part}/{{id}}$"', 'include-method = "DELETE"']
        lines += [f'parameters = {{ "path.id" = "{one}" }}']
    lines += ["[[operations]]", 'include-path-regex = "^/label-studio/"']
    lines += [f'headers = {{ Authorization = "Basic {password}" }}']
    lines += ["[[operations]]", 'include-path-regex = "/(predict|infer)$"']  # callers may ask for a deadline of 1 ms
    lines += ['checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "504"]']
    return "\n".join(lines)


def search(folder: Path, found: dict[str, Any], document: dict[str, Any], *more: str) -> tuple[int, str]:
    """The exit code, 1 where anything was found, and everything that was said."""
    (folder / "schemathesis.toml").write_text(config(found))
    (folder / "openapi.json").write_text(json.dumps(document))  # read from its address, its own route would be left out
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "--no-color", "run",
        "openapi.json", "--url", found["url"], "--phases", "coverage,fuzzing", "-n", str(EXAMPLES),
        "--checks", ",".join(CHECKS), *([] if DEEP else ["--generation-deterministic"]), *more,
        "--suppress-health-check", "too_slow", "--request-timeout", "120",  # a slow machine is no failure
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3600 if DEEP else 290)
    return done.returncode, done.stdout[-8000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with hosted(tmp_path_factory.mktemp("host")) as found:
        found["document"] = httpx.get(f"{found['url']}/openapi.json", timeout=60).json()
        yield found


def test_no_request_is_answered_with_what_is_not_documented(app: dict[str, Any], tmp_path: Path) -> None:
    code, told = search(tmp_path, app, app["document"])
    assert code == 0, told
    [(tested, passed)] = re.findall(r"Tested: (\d+).+ generated, (\d+) passed", told, re.DOTALL)
    assert int(tested) == len(OPERATIONS)
    assert int(passed) > LEAST


def test_the_search_would_notice(app: dict[str, Any], tmp_path: Path) -> None:
    """An answer that the document does not have, and a member that answers do not have."""
    spoilt = json.loads(json.dumps(app["document"]))
    spoilt["components"]["schemas"]["Health"]["required"].append("mood")
    del spoilt["paths"]["/loops/{loop}/timeline"]["get"]["responses"]["400"]
    code, told = search(tmp_path, app, spoilt, "--include-path-regex", "^/health$|/timeline$")
    assert code == 1, told
    assert "mood" in told
    assert "Undocumented status code" in told
