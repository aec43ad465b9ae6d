"""An upstream that repeats the app's own token, to the real adapters: it reaches no client and no log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.small_server import Handler, serving

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary7f3a9c"
APP = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
import function_app
from tests.support.in_process import Host
host = Host(function_app.app)
asked = [("POST", "/api/loops/cards/predict"), ("GET", "/api/v2/models/cards"), ("GET", "/api/v2/models/cards/ready")]
print(json.dumps([[a.status_code, str(a.headers) + a.text] for a in (host.ask(m, p, content=b"x") for m, p in asked)]))
"""


@pytest.fixture
def echo() -> Iterator[str]:
    """Gives tokens, and answers everything else by 403 with what it was asked with."""

    class Echo(Handler):
        def do_GET(self) -> None:
            is_token = self.path.startswith("/msi/")
            given = {"access_token": CANARY, "expires_on": "99999999999"}
            body = json.dumps(given if is_token else {"error": str(self.headers), "said": self.path}).encode()
            self.answer(200 if is_token else 403, body)

        do_POST = do_PUT = do_GET  # the names that the server asks for

    with serving(Echo) as address:
        yield address


def test_a_token_that_an_upstream_repeats_is_told_to_nobody(echo: str) -> None:
    settings = {
        "DataStorage__blobServiceUri": echo, "SystemStorage__blobServiceUri": echo,
        "SystemStorage__queueServiceUri": echo, "VISIONLOOP_SUBSCRIPTION_ID": "s", "VISIONLOOP_RESOURCE_GROUP": "g",
        "VISIONLOOP_WORKSPACE": "w", "IDENTITY_ENDPOINT": f"{echo}/msi/token", "IDENTITY_HEADER": f"header-{CANARY}",
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", APP],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout)
    assert [status for status, _ in answers] == [502] * 3
    assert all("403" in text for _, text in answers), "the upstream was asked, and refused"
    assert CANARY not in done.stdout
    assert CANARY not in done.stderr
