"""Commands of the guides do what they say, typed into a shell as they stand there."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.support.in_process import KEY, faked_host
from tests.support.small_server import Handler, serving

DOCS = Path(__file__).resolve().parents[3] / "docs"
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def commands(guide: str) -> list[str]:
    """Blocks of a guide that a reader types."""
    found = FENCED.findall((DOCS / f"{guide}.md").read_text())
    return [textwrap.dedent(block) for kind, block in found if not kind and "curl" in block]


BLOCKS = [
    pytest.param(block, id=f"{guide}-{number}")
    for guide in ("api", "webhooks", "label-studio", "cvat")
    for number, block in enumerate(commands(guide))
]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The app on a port, and what a reader has: its address, its keys, and a picture as large as those of cameras."""
    folder = tmp_path_factory.mktemp("reader")
    noise = Image.frombytes("RGB", (640, 480), random.Random(1).randbytes(640 * 480 * 3))
    noise.save(folder / "card.jpg", quality=90)
    assert (folder / "card.jpg").stat().st_size > 200_000
    with faked_host(folder) as (host, _):

        class Page(Handler):
            def do_POST(self) -> None:
                body = self.body()
                headers = {name.lower(): value for name, value in self.headers.items()}
                headers["content-length"] = str(len(body))
                told = host.ask(
                    "POST", self.path, key=headers.get("x-functions-key", ""), headers=headers, content=body
                )
                self.answer(told.status_code, told.content)

        made = host.ask("POST", "/api/loops/cards/keys", content=b'{"scopes": ["admin"]}').json()
        source = host.ask("POST", "/api/inbound", content=b'{"kind": "generic", "loop": "cards"}').json()
        given = {"CLIENT_KEY": made["key"], "SECRET": source["secret"], "SOURCE_PATH": source["path"]}
        with serving(Page) as address:
            yield {"HOST": address, "KEY": KEY, "FOLDER": str(folder), **given}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_command_as_it_stands_is_answered_with_what_was_asked_for(block: str, site: dict[str, str]) -> None:
    typed = block.replace("curl ", "curl -sS --fail-with-body --max-time 60 ").replace("<the token>", "a-token")
    typed = typed.replace("http://127.0.0.1:8080/", "https://receiver.example/")  # only the local cloud calls laptops
    done = subprocess.run(
        ["sh", "-c", typed], cwd=site["FOLDER"], env={**os.environ, **site}, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "title" not in json.loads(done.stdout)


def test_programs_as_they_stand_print_what_was_found_and_are_taken_by_their_signature(site: dict[str, str]) -> None:
    programs = [block for kind, block in FENCED.findall((DOCS / "api.md").read_text()) if kind == "python"]
    printed = [
        subprocess.run(
            [sys.executable, "-c", program], cwd=site["FOLDER"], env={**os.environ, **site}, capture_output=True,
            check=True, timeout=90,
        ).stdout
        for program in programs
    ]  # fmt: skip
    asked, signed = printed
    assert re.fullmatch(rb"ace 0\.9 \{'x1': .*\}\n", asked)
    assert json.loads(signed) == {"taken": True, "files": ["images/shelf/1.jpg"], "says": ""}
