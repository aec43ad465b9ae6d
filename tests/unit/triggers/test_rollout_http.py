"""Words on a rollout, the approval page, model cards and a resting endpoint, as the host calls the functions."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import azure.functions as func
import pytest

from services import wiring
from services.cloud.fakes import fake_settings
from services.inference.activity import Activity
from services.inference.champion import Champions
from services.names import state_blob
from services.state import Resting
from services.state_store import StateStore
from services.wake import Waker
from services.wiring import control, inference, pages, storage
from tests.support.http_request import document, functions, request
from tests.support.stages import LOOP, NOW, World
from tests.unit.rollout.test_approval import token, waiting

Call = Callable[..., func.HttpResponse]
CACHED = ("states", "rollout_controls", "approvals", "cards", "champions", "predictor", "activity")
BUILDERS: dict[str, Any] = {**vars(control), **vars(inference), **vars(pages), **vars(storage)}


@pytest.fixture(scope="module")
def app() -> dict[str, Any]:
    return functions()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A better challenger waits for a yes; the wiring is of this loop's fakes."""
    w = waiting()
    fakes = w.fake

    def read(name: str, _: str) -> tuple[int, str, bytes]:
        found = fakes.system.blobs.get(name)
        return (200, found.etag, found.data) if found else (404, "", b"")

    activity = Activity(fakes.system.write, fakes.wakes.send)
    champions = Champions(read, on_use=activity.note)
    replaced: dict[str, Any] = {
        "settings": fake_settings(),
        "system_store": fakes.system,
        "states": StateStore(fakes.system, fakes.clock),
        "waker": Waker(fakes.wakes, fakes.clock, 1),
        "champions": champions,
        "scorer": fakes.scorer,
        "clock": fakes.clock(),
    }
    for name in CACHED:  # the builders themselves, whatever another test has left in their place
        monkeypatch.setattr(wiring, name, cache(BUILDERS[name].__wrapped__))
    for name, value in replaced.items():
        monkeypatch.setattr(wiring, name, lambda value=value: value)
    return w


@pytest.fixture
def call(app: dict[str, Any], world: World) -> Call:
    def called(name: str, **arguments: Any) -> func.HttpResponse:
        answer = app[name].get_user_function()(req=request(**arguments))
        found: func.HttpResponse = asyncio.run(answer) if inspect.iscoroutine(answer) else answer
        return found

    return called


def test_a_word_is_kept_and_answered_202(call: Call, world: World) -> None:
    answer = call("rollout", method="POST", body=b'{"by": "Ada"}', loop=LOOP, word="hold")
    assert answer.status_code == 202
    assert document(answer) == {
        "loop": LOOP,
        "command": "hold",
        "effect": "hold",
        "run": 2,
        "says": "The traffic of the rollout of run 2 stays where it is",
    }
    world.wakes(1)
    assert world.state.rollout is not None
    assert world.state.rollout.held is not None


@pytest.mark.parametrize(
    ("word", "body", "loop", "status"),
    [
        ("stop", b"", LOOP, 404),
        ("hold", b"{", LOOP, 400),
        ("promote", b'{"run": 9}', LOOP, 409),
        ("hold", b"", "no", 400),
    ],
)
def test_a_wrong_word_is_a_problem_document(call: Call, word: str, body: bytes, loop: str, status: int) -> None:
    answer = call("rollout", method="POST", body=body, loop=loop, word=word)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_the_link_shows_a_page_and_its_button_approves(call: Call, world: World) -> None:
    text = token(world)
    page = call("approval", query={"token": text}, loop=LOOP)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert page.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    form = f"token={text}&answer=approve&by=Ada".encode()
    assert call("approval_answer", method="POST", body=form, loop=LOOP).status_code == 200
    assert call("approval_answer", method="POST", body=form, loop=LOOP).status_code == 403


@pytest.mark.parametrize("text", ["", "forged.token", "a" * 5000])
def test_a_forged_link_is_403(call: Call, text: str) -> None:
    answer = call("approval", query={"token": text}, loop=LOOP)
    assert answer.status_code == 403
    assert document(answer)["type"] == "urn:visionloop:problem:bad-link"


def test_a_person_reads_in_a_browser_why_a_link_does_nothing(call: Call) -> None:
    answer = call("approval", query={"token": "forged"}, headers={"accept": "text/html,*/*;q=0.8"}, loop=LOOP)
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    assert "<h1>This link is no longer good</h1>" in answer.get_body().decode()
    assert "Nothing was changed." in answer.get_body().decode()
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_a_card_comes_as_json_and_as_markdown(call: Call) -> None:
    found = document(call("model_card", loop=LOOP, version="2"))
    assert (found["outcome"], found["model"]) == ("deciding", {"name": "vl-nuts", "version": "2"})
    page = call("model_card", query={"format": "md"}, loop=LOOP, version="2")
    assert page.mimetype == "text/markdown"
    assert page.get_body().startswith(b"# vl-nuts:2")
    assert call("model_card", query={"format": "pdf"}, loop=LOOP, version="2").status_code == 400
    assert call("model_card", loop=LOOP, version="7").status_code == 404


def test_a_prediction_of_a_resting_loop_is_202_with_retry_after(call: Call, world: World) -> None:
    state = world.state
    state.resting = Resting(kind="remove", since=NOW, phase="asleep")
    world.fake.system.break_leases()
    world.fake.system.blobs[state_blob(LOOP)].data = state.model_dump_json().encode()
    answer = call("predict", method="POST", body=b"image", headers={"content-type": "image/jpeg"}, loop=LOOP)
    assert answer.status_code == 202
    assert answer.headers["retry-after"] == "60"
    assert document(answer)["type"] == "urn:visionloop:problem:waking"
    assert json.loads(answer.get_body())["loop"] == LOOP
