"""One shape of errors: whatever is asked of whichever route, what fails is problem details (RFC 9457).

What the host answers itself, before the app is asked, has no body: 401 without the key, 404 where no route is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from services.openapi.table import OPERATIONS, Operation
from services.problem import CONTENT_TYPE
from services.settings import Settings
from tests.support.in_process import Host, faked_host
from tests.support.odd_requests import BODIES, ODD, ODD_QUERY, TYPES, USUAL, address
from tests.support.predictions import jpeg
from triggers.http import MOST_BYTES

each = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.function)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with faked_host(tmp_path_factory.mktemp("host")) as (found, _):
        yield found


def check(answer: httpx.Response) -> None:
    """No failure of ours, and one shape."""
    assert answer.status_code < 500, answer.content[:300]
    if answer.status_code < 400:
        return
    assert answer.headers["content-type"] == CONTENT_TYPE, (answer.status_code, answer.content[:200])
    found = answer.json()
    assert found["status"] == answer.status_code
    assert found["type"].startswith("urn:visionloop:problem:")
    assert all(isinstance(found[name], str) and found[name] for name in ("title", "detail"))
    assert "Traceback" not in answer.text


@each
def test_odd_requests(host: Host, operation: Operation) -> None:
    for values in [USUAL, *ODD]:
        for query in ("", ODD_QUERY):
            check(host.ask(operation.method, address(operation, values) + query, headers={"content-length": "0"}))
    for body in BODIES.values():
        for kind in TYPES if operation.sends else TYPES[:1]:
            headers = {"content-type": kind, "content-length": str(len(body))}
            check(host.ask(operation.method, address(operation, USUAL), headers=headers, content=body))


@pytest.fixture(scope="module")
def client(host: Host) -> str:
    made = host.ask("POST", "/api/loops/cards/keys", json={"scopes": ["admin"]})
    return str(made.json()["key"])


LARGE = re.compile(r"/(predict|infer|items|events|webhook)$")
"""What may hold images, or many labels."""


@each
def test_a_body_over_the_limit_is_413(host: Host, client: str, operation: Operation) -> None:
    settings = Settings.model_fields["max_request_bytes"].default
    length = 1 + (settings if LARGE.search(operation.path) and operation.method == "POST" else MOST_BYTES)
    headers = {"content-type": "application/json", "content-length": str(length), "x-api-key": client}
    answer = host.ask(operation.method, address(operation, USUAL), headers=headers, content=bytes(length))
    check(answer)
    assert answer.status_code == 413


@pytest.mark.parametrize("header", ["x-deadline-ms", "inference-header-content-length", "range"])
def test_odd_headers(host: Host, header: str) -> None:
    for operation in OPERATIONS:
        for value in ("x", "-1", "0", "9" * 40, "bytes=9-1", "\x7f"):
            headers = {header: value, "content-type": "image/jpeg"}
            check(host.ask(operation.method, address(operation, USUAL), headers=headers, content=jpeg(9, 9)))


@each
def test_what_the_host_answers_itself_has_no_body(host: Host, operation: Operation) -> None:
    path = address(operation, USUAL)
    assert host.ask("PUT", path).status_code == 404
    if not operation.is_open:
        for key in ("", "wrong", "a-function-keY"):
            answer = host.ask(operation.method, path, key=key)
            assert (answer.status_code, answer.content) == (401, b"")
