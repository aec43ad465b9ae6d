"""What each scope of a client key opens over HTTP, and what it does not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from services import wiring
from services.access.caller import order_of
from services.cloud.fakes import FakeCloud
from services.commands import read_asked
from services.errors import BadRequest
from services.openapi.table import OPERATIONS
from tests.support.in_process import Host, faked_host
from tests.support.predictions import picture

IMAGE = picture(40, 30)
ITEM = {"name": "shelf/1.jpg", "image": base64.b64encode(IMAGE).decode(), "label": {"visionloop": 1, "negative": True}}
LOOP = "client/loops/cards"
ADMIN = {
    f"GET {LOOP}/status": 200, f"GET {LOOP}/explain": 200, f"POST {LOOP}/train": 202, f"POST {LOOP}/pause": 202,
    f"POST {LOOP}/resume": 202, f"POST {LOOP}/runs/1/cancel": 404, f"POST {LOOP}/rollout/hold": 409,
}  # fmt: skip
LABEL = {f"POST {LOOP}/items": 200}
MODEL = "client/v2/models/cards"
PREDICT = {
    f"POST {LOOP}/predict": 200, f"GET {LOOP}/predictions/nothing": 404,
    f"GET {MODEL}": 200, f"GET {MODEL}/versions/1": 200, f"GET {MODEL}/ready": 200, f"GET {MODEL}/versions/1/ready": 200,
    f"POST {MODEL}/infer": 400, f"POST {MODEL}/versions/1/infer": 400,
}  # fmt: skip
OPENS = {"predict": PREDICT, "label": LABEL, "admin": {**PREDICT, **LABEL, **ADMIN}}


class Site:
    """The app over fakes, asked with client keys only."""

    def __init__(self, host: Host, fakes: FakeCloud) -> None:
        self.host, self.fakes = host, fakes

    def key(self, *scopes: str, **more: object) -> dict[str, Any]:
        made = self.host.ask("POST", "/api/loops/cards/keys", json={"scopes": scopes, **more})
        assert made.status_code == 201, made.text
        wiring.door()._ring._known.clear()  # else it may take a second
        found: dict[str, Any] = made.json()
        return found

    def ask(self, what: str, key: str = "", **given: Any) -> httpx.Response:
        method, path = what.split()
        given.setdefault("content", b"{}" if method == "POST" else b"")
        if path.endswith("items") and given["content"] == b"{}":
            given["content"] = json.dumps({"items": [ITEM]}).encode()
        if path.endswith("/predict"):
            given["content"] = IMAGE
        headers = {"x-api-key": key, **given.pop("headers", {})}
        return self.host.ask(method, f"/api/{path}", key="", headers=headers, **given)

    def used(self, key_id: str) -> int:
        wiring.door()._meter.flush()
        listed = self.host.ask("GET", "/api/loops/cards/keys").json()["keys"]
        return sum(next(k for k in listed if k["id"] == key_id)["used"].values())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with faked_host(tmp_path_factory.mktemp("host")) as (host, fakes):
        yield Site(host, fakes)


def test_these_are_all_routes_of_clients() -> None:
    asked = {what.replace("cards", "{loop}").replace("runs/1", "runs/{number}") for what in OPENS["admin"]}
    asked = {what.replace("versions/1", "versions/{version}") for what in asked}
    asked = {what.replace("hold", "{word}").replace("nothing", "{id}") for what in asked}
    assert asked == {f"{o.method} {o.path}" for o in OPERATIONS if o.by_client}


@pytest.mark.parametrize("scope", OPENS)
def test_a_scope_opens_these_routes_and_no_others(site: Site, scope: str) -> None:
    key, answered = site.key(scope), 0
    for what in OPENS["admin"]:
        answer = site.ask(what, key["key"])
        if what in OPENS[scope]:
            assert answer.status_code == OPENS[scope][what], (what, answer.text)
            answered += "predictions" not in what  # which only looks at what was counted
        else:
            assert answer.status_code == 403, what
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"].endswith(":forbidden")
            assert answer.json()["scope"] in {"predict", "label", "admin"}
    assert site.used(key["id"]) == answered, "all that is let in counts, and nothing else does"


@pytest.mark.parametrize("what", OPENS["admin"])
def test_nobody_comes_in_without_a_key_of_the_loop(site: Site, what: str) -> None:
    other = site.host.ask("POST", "/api/loops/fruit/keys", json={"scopes": ["admin"]}).json()["key"]
    for key in ("", other, "vlk_000000000000_" + "a" * 43):
        assert site.ask(what, key).status_code == 401


@pytest.mark.parametrize("what", ["GET client/v2", "GET client/v2/health/live"])
def test_what_is_of_no_loop_needs_no_key(site: Site, what: str) -> None:
    assert site.ask(what).json().keys() & {"name", "live"}


def test_the_protocol_is_told_what_is_wrong_in_its_own_member(site: Site) -> None:
    told = site.ask(f"GET {MODEL}/ready").json()
    assert told["error"] == told["detail"]


def test_a_quota_holds_for_all_routes_together(site: Site) -> None:
    key = site.key("admin", per_minute=2)["key"]
    asked = [site.ask(what, key) for what in (f"GET {LOOP}/status", f"POST {LOOP}/items", f"GET {LOOP}/explain")]
    assert [answer.status_code for answer in asked] == [200, 200, 429]
    assert asked[2].headers["retry-after"] == "30"


def test_what_is_sent_becomes_files_of_the_loop(site: Site) -> None:
    key = site.key("label")["key"]
    for _ in range(2):
        assert site.ask(f"POST {LOOP}/items", key).json() == {
            "taken": True, "files": ["images/shelf/1.jpg", "labels/shelf/1.json"], "says": "",
        }  # fmt: skip
    assert site.fakes.data.blobs["cards/images/shelf/1.jpg"].data == IMAGE
    label = json.loads(site.fakes.data.blobs["cards/labels/shelf/1.json"].data)
    assert label == {"visionloop": 1, "image": "shelf/1.jpg", "negative": True}


@pytest.mark.parametrize(
    "name", ["../loop.yaml", "../../fruit/images/1.jpg", "a/../../x.jpg", "loop.yaml", "..\\1.jpg"]
)
def test_a_name_leads_nowhere_else_and_nothing_of_the_message_is_kept(site: Site, name: str) -> None:
    before = {*site.fakes.data.blobs}
    items = [{**ITEM, "name": "new.jpg"}, {**ITEM, "name": name}]
    answer = site.ask(f"POST {LOOP}/items", site.key("label")["key"], content=json.dumps({"items": items}).encode())
    assert (answer.status_code, {*site.fakes.data.blobs}) == (400, before)


def test_a_role_for_all_loops_makes_none(site: Site) -> None:
    claims = [{"typ": "oid", "val": "0000-7"}, {"typ": "roles", "val": "visionloop.label"}]
    sent = base64.b64encode(json.dumps({"auth_typ": "aad", "claims": claims}).encode()).decode()
    headers = {"x-ms-client-principal": sent}
    assert site.ask("POST client/loops/nobody/items", headers=headers).status_code == 404
    assert site.ask(f"POST {LOOP}/items", headers=headers).status_code == 200
    assert site.ask(f"POST {LOOP}/train", headers=headers).status_code == 403
    assert not any(name.startswith("nobody/") for name in site.fakes.data.blobs)


def test_who_orders_is_kept_with_the_key(site: Site) -> None:
    key = site.key("admin")
    site.ask(f"POST {LOOP}/pause", key["key"], content=b'{"by": " Ada ", "why": "stocktaking"}')
    kept = json.loads(site.fakes.system.blobs["commands/cards/pause.json"].data)
    assert (kept["action"], kept["order"]["why"]) == ("pause", "stocktaking")
    assert kept["order"]["by"] == f"Ada (key {key['id']})"


def test_a_name_that_is_said_never_hides_whose_key_it_was() -> None:
    assert read_asked(order_of("entra:0-1", b"")).by == "entra:0-1"
    long = read_asked(order_of("0123456789ab", json.dumps({"by": "x" * 500, "run": 3, "again": True}).encode()))
    assert long.by.endswith("x (key 0123456789ab)")
    assert (long.run, long.again) == (3, True)
    with pytest.raises(BadRequest, match="bye"):
        order_of("0123456789ab", b'{"bye": 1}')
