"""When the live slot is looked at, what is wrong with it, and whether it is brought back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.decisions.guard import Seen, Verdict, judge, judge_answering, next_look, repair
from services.state import Champion, Guard, LoopState, Order, Trouble
from tests.support.predictions import champion as made_champion
from tests.support.stages import LOOP, NOW, state

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def champion() -> Champion:
    found = made_champion()
    model = {"name": "vl-nuts", "version": "1"}
    return Champion.model_validate({**found.model_dump(), "endpoint": "nuts-endpoint", "slot": "blue", "model": model})


def seen(**changes: Any) -> Seen:
    """As it was left, but for the changes."""
    fields = {"endpoint": "succeeded", "slot": "succeeded", "model": "vl-nuts:1", "owner": LOOP}
    return Seen(**{**fields, "traffic": {"blue": 100}, **changes})


GONE: dict[str, Any] = {"slot": None, "model": "", "traffic": {}}


@pytest.mark.parametrize(
    ("found", "trouble", "reason"),
    [
        (seen(), None, ""),
        (seen(owner=""), None, ""),
        (Seen(None), "gone", "Endpoint nuts-endpoint is gone"),
        (seen(**GONE), "gone", "Slot blue of nuts-endpoint is gone"),
        (seen(**GONE | {"traffic": {"prod": 100}}), "gone", "Slot blue of nuts-endpoint is gone"),
        (seen(slot="failed", error="no quota"), "failed", "Slot blue of nuts-endpoint has failed: no quota"),
        (seen(slot="failed", traffic={}), "failed", "Slot blue of nuts-endpoint has failed"),
        (
            seen(slot="failed", traffic={"blue": 50, "prod": 50}),
            "traffic",
            (
                "The traffic of nuts-endpoint goes to blue 50 %, prod 50 %, not to blue alone; "
                "the proxy asks blue all the same"
            ),
        ),
        (
            seen(traffic={}),
            "traffic",
            "The traffic of nuts-endpoint goes to nobody, not to blue alone; the proxy asks blue all the same",
        ),
        (
            seen(owner="bolts"),
            "taken",
            "Endpoint nuts-endpoint belongs to the loop bolts: give this loop another endpoint.name",
        ),
        (
            seen(**GONE | {"owner": "", "traffic": {"prod": 100}}),
            "taken",
            (
                "Endpoint nuts-endpoint was not made by Visionloop, and its traffic goes to prod 100 %: "
                "give this loop another endpoint.name"
            ),
        ),
        (
            seen(model="cats:7"),
            "taken",
            "Slot blue of nuts-endpoint holds cats:7, not vl-nuts:1",
        ),
    ],
)
def test_what_is_wrong(found: Seen, trouble: Trouble | None, reason: str) -> None:
    assert judge(LOOP, champion(), found) == Verdict(trouble, reason)


@pytest.mark.parametrize(
    ("known", "trouble"), [("gone", "gone"), ("failed", "failed"), ("traffic", "traffic"), (None, "traffic")]
)
def test_a_slot_that_is_back_without_its_traffic_is_half_repaired(known: Trouble | None, trouble: Trouble) -> None:
    assert judge(LOOP, champion(), seen(traffic={}), known).trouble == trouble
    assert judge(LOOP, champion(), seen(), known) == Verdict()


@pytest.mark.parametrize("change", [{"endpoint": "creating"}, {"slot": "creating"}, {"slot": "deleting"}])
def test_what_is_only_just_changing_is_no_trouble_yet(change: dict[str, str]) -> None:
    assert judge(LOOP, champion(), seen(**change)) == Verdict(moving=next(iter(change.values())))


@pytest.mark.parametrize(("traffic", "trouble"), [({"blue": 100}, None), ({}, "traffic")])
def test_a_slot_that_is_said_to_have_failed_but_answers_is_judged_by_its_traffic(
    traffic: dict[str, int], trouble: Trouble | None
) -> None:
    assert judge_answering(LOOP, champion(), seen(slot="failed", traffic=traffic)).trouble == trouble


@pytest.mark.parametrize(
    ("guard", "missed", "seconds"),
    [
        (Guard(), None, 0),
        (Guard(looked=NOW - 5 * MINUTE), None, 600),
        (Guard(looked=NOW - 15 * MINUTE), None, 0),
        (Guard(looked=NOW + HOUR), None, 0),  # the clock was put back
        (Guard(looked=NOW - 5 * MINUTE), NOW - MINUTE, 0),
        (Guard(looked=NOW - MINUTE / 2), NOW, 30),
        (Guard(looked=NOW - 5 * MINUTE), NOW - 6 * MINUTE, 600),  # missed before that look
        (Guard(looked=NOW - 5 * MINUTE, trouble="gone"), NOW, 600),  # which is known
    ],
)
def test_the_slot_is_looked_at_seldom_and_soon_after_it_was_missed(guard: Guard, missed: Any, seconds: float) -> None:
    assert next_look(guard, missed, NOW) == seconds


def loop(mode: str = "lost", *repaired: timedelta, paused: bool = False) -> LoopState:
    made = state(config={"endpoint": {"repair": mode}})
    made.guard.repaired = [NOW - ago for ago in repaired]
    made.pause = Order(by="Ada", why="lunch", at=NOW) if paused else None
    return made


@pytest.mark.parametrize(
    ("made", "trouble", "acts", "reason"),
    [
        (loop(), "gone", True, "the same model is brought back"),
        (loop(), "failed", True, "the same model is brought back"),
        (loop("all"), "gone", True, "the same model is brought back"),
        (loop("all"), "traffic", True, "the same model is brought back"),
        (loop(), "traffic", False, "what was moved by hand stays; endpoint.repair: all gives it back"),
        (loop("all"), "taken", False, "it is left alone"),
        (loop("none"), "gone", False, "it is left as it is, as endpoint.repair is none"),
        (
            loop(paused=True),
            "gone",
            False,
            "The loop is paused by Ada: lunch: it is brought back once the loop goes on",
        ),
    ],
)
def test_what_is_done_about_it(made: LoopState, trouble: Trouble, acts: bool, reason: str) -> None:
    found = repair(made, trouble, removed=False, now=NOW)
    assert (found.act, found.reason, found.again_in) == (acts, reason, None)


def test_a_loop_of_which_nothing_is_uploaded_any_more_is_let_go() -> None:
    found = repair(loop(), "gone", removed=True, now=NOW)
    assert (found.act, found.reason) == (False, "nothing of nuts is uploaded any more, so it stays away")


@pytest.mark.parametrize(
    ("repaired", "again"),
    [
        ((9 * MINUTE,), 60),
        ((10 * MINUTE,), None),
        ((2 * HOUR, 59 * MINUTE), 60),
        ((2 * HOUR, HOUR), None),
        ((23 * HOUR, 3 * HOUR, 2 * HOUR), 3600),  # a person who removes it again and again wins
        ((24 * HOUR, 3 * HOUR, 2 * HOUR), None),  # two of a day: the third may come
        ((-HOUR,), None),  # the clock was put back
    ],
)
def test_each_repair_of_a_day_waits_longer_and_there_are_three(
    repaired: tuple[timedelta, ...], again: float | None
) -> None:
    found = repair(loop("lost", *repaired), "gone", removed=False, now=NOW)
    assert (found.act, found.again_in) == (again is None, again)
    if again is not None:
        assert found.reason.endswith(f"the next try is at {NOW + timedelta(seconds=again):%Y-%m-%d %H:%M} UTC")
