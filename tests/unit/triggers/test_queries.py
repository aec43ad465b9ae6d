"""A misspelt query parameter is refused wherever something is only read, and a key in the query is no filter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.names import state_blob
from services.state import Problem
from tests.support.in_process import KEY, Host, faked_host
from tests.support.predictions import loop_state

READS = (
    "status", "loops/cards/status", "loops/cards/problems", "loops/cards/timeline", "loops/cards/explain",
    "loops/cards/runs", "loops/cards/runs/1", "loops/cards/runs/1/plot", "loops/cards/models/1/card",
    "loops/cards/datasets", "loops/cards/datasets/1", "loops/cards/datasets/1/changes",
    "loops/cards/datasets/1/labels", "loops/cards/datasets/1/export", "health",
)  # fmt: skip


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with faked_host(tmp_path_factory.mktemp("effects")) as (found, fakes):
        state = loop_state()
        state.catalogue.problems = [Problem(code="box-outside", file="labels/1.xml")]
        fakes.system.write(state_blob(state.loop), state.model_dump_json().encode())
        yield found


@pytest.mark.parametrize("path", READS)
def test_what_no_route_knows_is_refused_by_each(host: Host, path: str) -> None:
    answer = host.ask("GET", f"/api/{path}?nonsense=1")
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("nonsense is no parameter of this request, which takes ")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            "loops/cards/timeline?limt=3",
            "limt (did you mean limit?) is no parameter of this request, which takes limit, before",
        ),
        ("loops/cards/problems?sevrity=error", " (did you mean severity?)"),
        ("loops/cards/problems?code=box-outsid", "box-outsid is no code of a problem (did you mean box-outside?)"),
        ("loops/cards/runs?format=png", "format must be one of json, svg"),
        ("health?deep=ja", "deep must be true or false"),
    ],
)
def test_what_is_meant_is_said(host: Host, asked: str, said: str) -> None:
    answer = host.ask("GET", f"/api/{asked}")
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


def test_a_key_in_the_query_opens_and_chooses_nothing(host: Host) -> None:
    for path in ("status", "loops/cards/status", "loops/cards/timeline"):
        assert host.ask("GET", f"/api/{path}?code={KEY}", key="").status_code == 200
    by_query = host.ask("GET", f"/api/loops/cards/problems?code={KEY}", key="")
    assert [p["code"] for p in by_query.json()["problems"]] == ["box-outside"]
    by_header = host.ask("GET", "/api/loops/cards/problems?code=box-clamped")
    assert by_header.json()["problems"] == []
