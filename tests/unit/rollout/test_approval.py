"""A person's yes: the link, who cannot make one, and that looking at it answers nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.approvals import HEADERS, Approvals
from services.cloud.fakes import FakeBlobStore
from services.commands import Commands
from services.control_stage import ControlStage
from services.errors import BadLink, BadRequest
from services.rollout import link
from services.rollout.stage import RolloutStage
from services.wake import Waker
from tests.support.rollouts import add, champion, settle, slots, traffic, world
from tests.support.stages import LOOP, NOW, World, state
from tests.unit.rollout.test_canary import in_step, until
from tests.unit.rollout.test_orders import order

REQUIRED = {"endpoint": {"name": "nuts-endpoint"}, "promotion": {"approval": "required", "approval_hours": 24}}


def waiting(**config: Any) -> World:
    """The model of run 1 is live; that of run 2 is better and waits for a yes."""
    w = world()
    w._stages = [ControlStage(), RolloutStage()]
    settle(w)
    w.edit(lambda s: setattr(s, "config", state(config={**REQUIRED, **config}).config))
    add(w, 2)
    until(w, in_step("approve"))
    w.wakes(1)
    return w


def approvals(w: World) -> Approvals:
    waker = Waker(w.fake.wakes, w.fake.clock, 1)
    return Approvals(w.states, w.fake.system, Commands(w.fake.system), waker, w.fake.clock)


def asked(w: World) -> dict[str, Any]:
    return next(e.data for e in w.events if e.type == "visionloop.rollout.approval_requested")


def token(w: World) -> str:
    return parse_qs(urlsplit(asked(w)["url"]).query)["token"][0]


def form(text: str, answer: str = "approve", by: str = "Ada") -> bytes:
    return urlencode({"token": text, "answer": answer, "by": by}).encode()


def test_a_better_challenger_waits_and_a_yes_lets_it_go_live() -> None:
    w = waiting()
    w.wakes(20, every=1800)
    assert traffic(w) == {"blue": 100}
    assert w.kinds.count("rollout.approval_requested") == 1
    assert "challenger 0.9010, champion 0.8020" in asked(w)["reason"]
    assert "is approved, and its traffic begins" in approvals(w).answer(LOOP, form(token(w)))
    settle(w)
    assert champion(w).run == 2
    assert any("was approved by the link by Ada" in e.data["reason"] for e in w.events)


def test_a_yes_is_followed_by_the_canary() -> None:
    w = waiting(rollout={"canary": [20]})
    approvals(w).answer(LOOP, form(token(w)))
    settle(w)
    assert {"green": 20, "blue": 80} in w.fake.workspace.traffic_history


def test_a_no_rejects() -> None:
    w = waiting()
    approvals(w).answer(LOOP, form(token(w), "refuse"))
    settle(w)
    assert champion(w).run == 1
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert w.state.run(2).rollout == "rejected"
    assert "Run 2 was refused by the link by Ada" in w.events[-1].data["reason"]


def test_no_answer_in_time_rejects() -> None:
    w = waiting()
    w.fake.clock.advance(25 * 3600)
    settle(w)
    assert w.state.run(2).rollout == "rejected"
    assert "Nobody approved it until 2026-01-02" in w.events[-1].data["reason"]
    with pytest.raises(BadLink, match="too old"):
        approvals(w).page(LOOP, token(w))


def test_a_promotion_over_http_is_a_yes_too() -> None:
    w = waiting()
    order(w, "promote")
    settle(w)
    assert champion(w).run == 2


def test_looking_answers_nothing_however_often() -> None:
    w = waiting()
    before = dict(w.fake.system.blobs)
    for _ in range(5):
        page = approvals(w).page(LOOP, token(w))
    assert set(w.fake.system.blobs) == set(before)
    w.wakes(3)
    assert champion(w).run == 1
    assert re.findall(r'<form method="(\w+)">', page) == ["post"]
    assert "Run 2 of nuts" in page
    assert "<script" not in page
    assert "form-action 'self'" in HEADERS["content-security-policy"]


@pytest.mark.parametrize("carried_out", [True, False])
def test_a_link_answers_once(carried_out: bool) -> None:
    w = waiting()
    used = form(token(w))
    approvals(w).answer(LOOP, used)
    if carried_out:
        w.wakes(1)
    for again in (used, form(token(w), "refuse")):
        with pytest.raises(BadLink):
            approvals(w).answer(LOOP, again)
    settle(w)
    assert champion(w).run == 2


def test_a_link_of_another_rollout_is_none_of_this_one() -> None:
    w = waiting()
    old = token(w)
    approvals(w).answer(LOOP, form(old, "refuse"))
    settle(w)
    add(w, 3)
    until(w, in_step("approve"))
    w.wakes(1)
    with pytest.raises(BadLink, match="is over"):
        approvals(w).answer(LOOP, form(old))
    assert champion(w).run == 1


def test_what_people_write_is_no_markup() -> None:
    w = waiting()
    w.edit(lambda s: setattr(s.rollout, "decision", "<script>alert(1)</script>"))
    assert "<script" not in approvals(w).page(LOOP, token(w))
    approvals(w).answer(LOOP, form(token(w), by="<b>\nAda" + "x" * 500))
    w.wakes(1)
    told = next(e.data for e in w.events if e.type == "visionloop.rollout.ordered")
    assert told["by"].startswith("<b> Ada")
    assert len(told["by"]) == 100


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"token=x", b"a=1&" * 50, b"x" * 5000])
def test_another_body_is_refused(body: bytes) -> None:
    with pytest.raises((BadRequest, BadLink)):
        approvals(waiting()).answer(LOOP, body)


def test_a_right_token_with_a_wrong_answer_is_refused() -> None:
    w = waiting()
    with pytest.raises(BadRequest, match="approve or refuse"):
        approvals(w).answer(LOOP, form(token(w), "perhaps"))


QUESTION = link.Question("nuts", 2, "abc", NOW + timedelta(hours=1))


def test_a_token_is_read_back_and_is_the_same_each_time() -> None:
    system = FakeBlobStore()
    made = link.token(system, QUESTION)
    assert link.read(system, made, "nuts", NOW) == QUESTION
    assert link.token(system, QUESTION) == made
    assert len(system.blobs[link.KEY_FILE].data) == 32


@pytest.mark.parametrize("later", [3600, 10**8])
def test_an_old_token_is_refused(later: float) -> None:
    system = FakeBlobStore()
    with pytest.raises(BadLink, match="too old"):
        link.read(system, link.token(system, QUESTION), "nuts", NOW + timedelta(seconds=later))


def test_a_token_of_another_key_or_loop_is_refused() -> None:
    system, other = FakeBlobStore(), FakeBlobStore()
    made = link.token(system, QUESTION)
    with pytest.raises(BadLink, match="not one that Visionloop made"):
        link.read(other, made, "nuts", NOW)
    with pytest.raises(BadLink, match="another loop"):
        link.read(system, made, "bolts", NOW)


SYSTEM = FakeBlobStore()
MADE = link.token(SYSTEM, QUESTION)


@given(st.one_of(st.text(max_size=200), st.integers(0, len(MADE) - 1).map(lambda n: MADE[:n] + "A" + MADE[n + 1 :])))
def test_no_other_text_is_a_token(text: str) -> None:
    try:
        found = link.read(SYSTEM, text, "nuts", NOW)
    except BadLink:
        return
    assert found == QUESTION  # base64 has bits that say nothing: what is read is what was signed
