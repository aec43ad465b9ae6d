"""Every error of the tree is a problem document of one shape, with a kind of its own."""

from __future__ import annotations

import json
import logging

import pytest

from services import errors
from services.errors import UpstreamBusy, VisionloopError
from services.problem import kind_of, problem
from tests.support.error_tree import tree


@pytest.mark.parametrize("kind", tree(), ids=lambda k: k.__name__)
def test_the_shape_is_rfc_9457s(kind: type[VisionloopError]) -> None:
    status, headers, body = problem(kind("A sentence.", loop="cards"))
    found = json.loads(body)
    assert found == {
        "type": kind_of(kind),
        "title": kind.title,
        "status": kind.status,
        "detail": "A sentence.",
        "loop": "cards",
    }
    assert status == kind.status
    challenge = {"www-authenticate": 'Bearer realm="visionloop"'} if status == 401 else {}
    assert headers == {"content-type": "application/problem+json", **challenge}


def test_people_read_it_in_a_terminal() -> None:
    _, _, body = problem(UpstreamBusy("busy … later", retry_after=1, loop="cards"))
    assert list(json.loads(body)) == ["type", "title", "status", "detail", "retry_after", "loop"]
    assert "busy … later" in body.decode()
    assert b"?" in problem(UpstreamBusy("\ud800"))[2], "what is no text is no error"


def test_every_kind_has_a_type_of_its_own() -> None:
    assert len({kind_of(kind) for kind in tree()}) == len(tree())
    assert kind_of(errors.NoChampion) == "urn:visionloop:problem:no-champion"


def test_further_members_cannot_hide_the_standard_ones() -> None:
    status, _, body = problem(UpstreamBusy("busy", status=200, title="fine", type="x"))
    found = json.loads(body)
    assert (status, found["status"], found["title"]) == (503, 503, "Upstream busy")


@pytest.mark.parametrize(("wait", "header"), [(0, "1"), (0.2, "1"), (7, "7"), (7.6, "8")])
def test_a_wait_is_a_header(wait: float, header: str) -> None:
    assert problem(UpstreamBusy("busy", retry_after=wait))[1]["retry-after"] == header


def test_what_is_not_ours_is_told_by_an_id_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status, _, body = problem(KeyError("AccountKey=abc"))
    found = json.loads(body)
    assert status == 500
    assert b"AccountKey" not in body
    assert found["correlation_id"] in found["detail"]
    assert found["correlation_id"] in caplog.text
