from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.rollout_config import Endpoint
from services.state import Guard, LoopState, Repair, Resting
from services.status.progress import doing
from services.status.serving import serving
from tests.support.predictions import NOW, loop_state
from tests.unit.inference.test_routes import baking


def loop(**endpoint: Any) -> LoopState:
    state = loop_state()
    state.config.config = state.config.config.model_copy(update={"endpoint": Endpoint(**endpoint)})
    return state


def test_the_bill_of_an_endpoint_that_nobody_asks() -> None:
    found = serving(loop(instance_count=2), NOW + timedelta(hours=100))
    assert (found["machines"], found["idle_hours"], found["idle_cost"]) == (2, 100.0, 58.6)
    assert found["cost_per_month"] == pytest.approx(427.78)
    assert found["says"].startswith("2 machines, 100.0 hours without a prediction, about 58.60 US dollars")
    assert "endpoint.idle_after_hours lets it rest" in found["says"]


def test_it_counts_from_the_last_prediction() -> None:
    state = loop(idle_after_hours=4.0)
    state.last_prediction = NOW + timedelta(hours=99)
    found = serving(state, NOW + timedelta(hours=100))
    assert (found["idle_hours"], found["idle_cost"]) == (1.0, 0.29)
    assert "lets it rest" not in found["says"]


def test_a_price_of_the_settings_wins_and_an_unknown_one_is_said_to_be() -> None:
    later = NOW + timedelta(hours=10)
    assert serving(loop(), later, "Standard_DS3_v2=1.5")["idle_cost"] == 15.0
    unknown = serving(loop(instance_type="Standard_Odd"), later)
    assert (unknown["idle_cost"], unknown["price_per_machine_hour"]) == (None, None)


@pytest.mark.parametrize(("kind", "machines"), [("remove", 0), ("scale", 1)])
def test_what_rests_is_not_billed(kind: Any, machines: int) -> None:
    state = loop(instance_count=3, idle_after_hours=4.0)
    state.resting = Resting(kind=kind, since=NOW, phase="asleep", reason="nobody asked")
    found = serving(state, NOW + timedelta(hours=9))
    assert found["machines"] == machines
    assert found["says"] == "The endpoint has rested since 2026-01-01 00:00 UTC: nobody asked"
    assert doing(state) == "The endpoint rests until the next prediction is asked for: nobody asked"


@pytest.mark.parametrize(("repair", "machines"), [(None, 0), (Repair(trouble="gone", since=NOW), 1)])
def test_a_slot_that_is_gone_is_not_billed_and_that_is_said(repair: Repair | None, machines: int) -> None:
    state = loop()
    state.guard = Guard(trouble="gone", reason="Slot blue is gone", repair=repair)
    found = serving(state, NOW + timedelta(hours=9))
    assert found["machines"] == machines
    assert found["says"].startswith("Slot blue is gone. ")


def test_two_slots_are_billed_while_there_are_two() -> None:
    assert serving(baking(), NOW)["machines"] == 2


def test_nothing_is_billed_before_anything_is_live() -> None:
    found = serving(loop_state(live=False), NOW)
    assert (found["machines"], found["idle_hours"], found["says"]) == (0, None, "Nothing is served yet")
