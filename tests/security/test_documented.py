"""No request makes the app fail, or answer what its OpenAPI document does not say: a bounded search."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from services.openapi.document import document
from services.openapi.table import OPERATIONS, Operation
from tests.support.faked_host import furnish_loop
from tests.support.in_process import Host, faked_host
from tests.support.predictions import picture

FOUND = document()
COMPONENTS = FOUND["components"]
EXAMPLES = 25
IMAGE = picture(40, 30)
PICTURE = base64.b64encode(IMAGE).decode()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = st.from_regex(r"[!-~]{0,12}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
Known = dict[str, list[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Known]]:
    """A loop with something of each kind, and the names of what there is."""
    with faked_host(tmp_path_factory.mktemp("host")) as (host, fakes):
        furnish_loop(fakes)
        made = host.ask("POST", "/api/loops/cards/keys", json={"scopes": ["admin"]})
        yield (
            host,
            {
                "loop": ["cards", "cards", "cards", "fruit", "nobody"],
                "number": ["1", "1", "2"],
                "version": ["1", "1", "2"],
                "client": [made.json()["key"]],
            },
        )


def mostly(good: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One in six is odd, so that most requests get past the first check."""
    return st.integers(0, 5).flatmap(lambda number: good if number else odd)


def shape_of(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = COMPONENTS["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return shape_of(found) if "$ref" in found else found


def values(schema: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """What fits a schema, mostly: what does not is for the app to refuse."""
    found = shape_of(schema)
    if "const" in found or "enum" in found:
        return st.sampled_from(found.get("enum") or [found["const"]])
    if several := found.get("oneOf") or found.get("anyOf"):
        return st.one_of([values(each, depth + 1) for each in several])
    if "properties" in found and depth < 5:
        members = {name: values(each, depth + 1) for name, each in found["properties"].items()}
        needed = {name: members.pop(name) for name in found.get("required", ()) if name in members}
        return st.fixed_dictionaries(needed, optional=members)
    if found.get("type") == "array" and depth < 5:
        return st.lists(values(found.get("items", {}), depth + 1), max_size=3)
    numbers = {"integer": st.integers(-2, 2000), "number": st.floats(-1, 2), "boolean": st.booleans()}
    return numbers.get(found.get("type", ""), TEXTS) | st.sampled_from(
        ["https://r.example/", "cards", "2026-01-01T00:00:00Z", PICTURE]
    )


def bodies(operation: Operation) -> st.SearchStrategy[tuple[str, bytes]]:
    found: list[st.SearchStrategy[tuple[str, bytes]]] = []
    sends = FOUND["paths"][f"/{operation.path}"][operation.method.lower()].get("requestBody", {}).get("content", {})
    for kind, content in sends.items():
        if kind == "application/json":
            shaped = mostly(values(content["schema"]), JSON)
            found.append(st.tuples(st.just(kind), shaped.map(lambda value: json.dumps(value).encode())))
        else:
            found.append(st.tuples(st.just(kind), mostly(st.just(IMAGE), st.binary(max_size=60))))
    return st.one_of(found) if found else st.just(("", b""))


def parameters(found: dict[str, Any], place: str) -> st.SearchStrategy[dict[str, str]]:
    odd = PLAIN if place == "header" else TEXTS
    named = {
        p["name"]: values(p["schema"]).map(str) if place == "query" else odd
        for p in found["parameters"]
        if p["in"] == place
    }
    return st.fixed_dictionaries({}, optional={name: mostly(each, odd) for name, each in named.items()})


def paths(operation: Operation, known: Known) -> st.SearchStrategy[str]:
    found = [
        p for p in FOUND["paths"][f"/{operation.path}"][operation.method.lower()]["parameters"] if p["in"] == "path"
    ]
    parts = {
        p["name"]: mostly(
            st.sampled_from([*known.get(p["name"], ()), *p["schema"].get("enum", ())] or ["x"]),
            st.from_regex(r"[A-Za-z0-9_~-]{1,40}", fullmatch=True),
        )
        for p in found
    }
    return st.fixed_dictionaries(parts).map(lambda chosen: "/api/" + operation.path.format(**chosen))


def check(found: dict[str, Any], answer: httpx.Response) -> None:
    """The status, the content type and the shape are among those that the document has."""
    told = f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.content[:300]!r}"
    assert answer.status_code < 500, told
    assert str(answer.status_code) in found["responses"], told
    content = found["responses"][str(answer.status_code)].get("content", {})
    if not answer.content and not content:
        return
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in content, told
    if kind.endswith("json") and (schema := content[kind].get("schema")):
        error = next(Draft202012Validator({**schema, "components": COMPONENTS}).iter_errors(answer.json()), None)
        assert error is None, f"{told}: {error and error.message} at {error and list(error.path)}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.function)
def test_every_answer_is_documented(site: tuple[Host, Known], operation: Operation) -> None:
    host, known = site
    found = FOUND["paths"][f"/{operation.path}"][operation.method.lower()]
    made = host.ask("POST", "/api/webhooks", json={"url": "https://receiver.example/"}).json()
    sent = host.ask("POST", f"/api/webhooks/{made['id']}/test").json()
    later = host.ask("POST", "/api/loops/cards/predict", headers={"prefer": "respond-async"}, content=IMAGE).json()
    source = host.ask("POST", "/api/inbound", json={"kind": "label_studio", "loop": "cards"}).json()
    here = {**known, "id": [made["id"], later["id"], source["id"]], "delivery": [sent["delivery"]]}

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(paths(operation, here), parameters(found, "query"), parameters(found, "header"), bodies(operation))
    def ask(path: str, query: dict[str, str], headers: dict[str, str], body: tuple[str, bytes]) -> None:
        sent = {
            "x-api-key": known["client"][0],
            **headers,
            "content-type": body[0],
            "content-length": str(len(body[1])),
        }
        answer = host.ask(operation.method, path, params=query, headers=sent, content=body[1])
        check(found, answer)
        answered.add(answer.status_code)

    answered: set[int] = set()
    ask()
    assert answered - {401}, "a key opens"


def test_what_works_is_documented_too(site: tuple[Host, Known]) -> None:
    """What the search meets seldom: whole requests, and the answers that they are made for."""
    host, _ = site
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [PICTURE]}
    hook = host.ask("POST", "/api/webhooks", json={"url": "https://receiver.example/"}).json()["id"]
    sent = host.ask("POST", f"/api/webhooks/{hook}/test").json()["delivery"]
    asked: list[tuple[str, str, int, dict[str, Any]]] = [
        ("loops/{loop}/predict", "loops/cards/predict", 200, {"json": {"images": [PICTURE, PICTURE]}}),
        ("loops/{loop}/predict", "loops/cards/predict", 200, {"files": {"image": IMAGE}}),
        ("loops/{loop}/predict", "loops/cards/predict?render=png", 200, {"content": IMAGE}),
        ("v2/models/{loop}/infer", "v2/models/cards/infer", 200, {"json": {"inputs": [tensor]}}),
        (
            "v2/models/{loop}/versions/{version}/infer",
            "v2/models/cards/versions/1/infer",
            200,
            {"json": {"inputs": [tensor]}},
        ),
        ("webhooks/{id}/replay", f"webhooks/{hook}/replay", 202, {"json": {"since": "2025-01-01T00:00:00Z"}}),
        ("webhooks/{id}/deliveries/{delivery}/replay", f"webhooks/{hook}/deliveries/{sent}/replay", 404, {}),
    ]
    for path, address, status, given_ in asked:
        answer = host.ask("POST", f"/api/{address}", **given_)
        assert answer.status_code == status, answer.content
        check(FOUND["paths"][f"/{path}"]["post"], answer)


def test_the_search_would_notice() -> None:
    """So the judge really judges: an answer of an unknown status, type or shape is refused."""
    found = FOUND["paths"]["/health"]["get"]
    asked = httpx.Request("GET", "http://host/api/health")
    ours = {"status": "ok", "version": "1"}
    check(found, httpx.Response(200, json=ours, request=asked))
    for answer in (
        httpx.Response(418, json=ours, request=asked),
        httpx.Response(200, text="ok", request=asked),
        httpx.Response(200, json={"status": "bad", "version": "1"}, request=asked),
        httpx.Response(500, request=asked),
    ):
        with pytest.raises(AssertionError):
            check(found, answer)
