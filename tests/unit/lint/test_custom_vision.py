"""The script of docs/labels.md that fetches a project of Custom Vision, against a server that answers as its API does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from devtools.checking.known import known
from devtools.checking.look import look
from devtools.folders import loop_files
from tests.support.dataset_house import picture

TEXT = (Path(__file__).parents[3] / "docs" / "labels.md").read_text(encoding="utf-8")
COUNT, MOST = 260, 256


def _image(number: int, address: str, *, regions: bool) -> dict[str, Any]:
    """As the example of the API's specification, GetImages of version 3.3, has it."""
    tag = {"tagId": "b607964f", "created": "2017-12-19T15:56:09Z", "tagName": ("nut", "bolt")[number % 2]}
    place = {"regionId": "r", "left": 0.25, "top": 0.5, "width": 0.5, "height": 0.25}
    image = {"id": f"4d6eb844-{number:04}", "width": 64, "height": 48, "originalImageUri": f"{address}/{number}?sig=x"}
    return {**image, "tags": [tag], "regions": [{**tag, **place}] if regions else None}


@contextmanager
def _custom_vision(*, regions: bool) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            body = self._listed(parse_qs(address.query)) if "training" in address.path else _picture(address.path)
            self.send_response(200 if body else 401)
            self.end_headers()
            self.wfile.write(body)

        def _listed(self, query: dict[str, list[str]]) -> bytes:
            if self.headers["Training-Key"] != "secret" or query["taggingStatus"] != ["Tagged"]:
                return b""
            first, take = int(query["skip"][0]), min(int(query["take"][0]), MOST)
            here = f"http://127.0.0.1:{server.server_port}"
            listed = range(first, min(first + take, COUNT))
            return json.dumps([_image(n, here, regions=regions) for n in listed]).encode()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def _picture(path: str) -> bytes:
    return picture(int(path.strip("/")))


@pytest.mark.parametrize(
    ("regions", "task", "box"),
    [(True, "object_detection", (0.25, 0.5, 0.75, 0.75)), (False, "image_classification", None)],
)
def test_the_documented_script_brings_a_project_over(
    tmp_path: Path, regions: bool, task: str, box: tuple[float, ...] | None
) -> None:
    found = re.search(r"## From Custom Vision\n.*?```python\n(.*?)```", TEXT, re.DOTALL)
    assert found
    (tmp_path / "script.py").write_text(found[1], encoding="utf-8")
    with _custom_vision(regions=regions) as endpoint:
        command = [sys.executable, "script.py", endpoint, "bc3f7dad-5544", "parts"]
        environment = {**os.environ, "CUSTOM_VISION_KEY": "secret"}
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=120, capture_output=True)
    checked = look(tmp_path / "parts", {}, lambda *_: None)
    assert checked.problems["by_severity"]["error"] == 0
    assert (checked.catalogue.task, checked.catalogue.labelled) == (task, COUNT)
    members = known(loop_files(tmp_path / "parts")).members.values()
    assert {a.box for m in members for a in m.annotations} == {box}
    assert {a.label for m in members for a in m.annotations} == {"nut", "bolt"}
