"""Growing shares of the traffic, watched; and the way back, by itself or by the clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from services.cloud.ports.serving import DeploymentView
from services.errors import Upstream
from services.rollout.watch import CLASSES, bounds_ms, look, percentile
from services.state import LoopState, Watched
from tests.support.rollouts import (
    ENDPOINT,
    add,
    champion,
    live,
    measure_once,
    quality,
    refuse_traffic,
    settle,
    slots,
    traffic,
)
from tests.support.stages import World, killed_everywhere

PLAN: dict[str, Any] = {"canary": [10, 50], "bake_seconds": 300, "rollback_window_minutes": 30}


def begun(rollout: dict[str, Any] | None = None) -> World:
    w = live({"rollout": PLAN if rollout is None else rollout})
    add(w, 2)
    return w


def until(w: World, is_so: Callable[[LoopState], bool], most: int = 60, every: float = 31) -> None:
    for _ in range(most):
        w.wakes(1, every)
        if is_so(w.state):
            return
    raise AssertionError(f"never: {w.state.rollout}")


def step(w: World) -> str:
    assert w.state.rollout is not None
    return w.state.rollout.step


def watched_since(w: World) -> datetime:
    assert w.state.rollout is not None
    assert w.state.rollout.watched_since is not None
    return w.state.rollout.watched_since


def at(share: int) -> Callable[[LoopState], bool]:
    return lambda s: s.rollout is not None and s.rollout.share == share


def in_step(name: str) -> Callable[[LoopState], bool]:
    return lambda s: s.rollout is not None and s.rollout.step == name


def seen(w: World, process: str = "one", **slots: tuple[int, int, float]) -> None:
    """What a process of the proxy wrote: requests, errors and milliseconds by slot."""
    assert w.state.rollout is not None
    assert w.state.rollout.watching
    document = {}
    for slot, (requests, errors, ms) in slots.items():
        counts = [0] * CLASSES
        counts[next(n for n, bound in enumerate(bounds_ms()) if ms <= bound)] = requests
        document[slot] = {"requests": requests, "errors": errors, "ms": counts}
    name = f"{w.state.rollout.watching}{process}.json"
    w.cloud.system.write(name, json.dumps({"slots": document}).encode())


def test_traffic_grows_by_the_plan_and_the_old_slot_is_kept_for_the_window() -> None:
    w = begun()
    until(w, at(10))
    assert traffic(w) == {"green": 10, "blue": 90}
    assert champion(w).run == 1
    seen(w, blue=(900, 0, 50), green=(100, 0, 60))
    until(w, at(50))
    until(w, in_step("keep"))
    assert champion(w).run == 2
    assert slots(w) == {"blue": "vl-nuts:1", "green": "vl-nuts:2"}
    w.wakes(50)  # 25 minutes
    assert step(w) == "keep"
    settle(w)
    assert slots(w) == {"green": "vl-nuts:2"}
    assert w.fake.workspace.traffic_history[1:] == [
        {"green": 10, "blue": 90},
        {"green": 50, "blue": 50},
        {"green": 100},
    ]
    assert w.kinds[3:] == [
        "rollout.started",
        "rollout.evaluated",
        "rollout.canary",
        "rollout.canary",
        "rollout.promoted",
    ]


def test_each_percentage_lasts_its_time_and_no_longer() -> None:
    w = begun()
    until(w, at(10))
    since = watched_since(w)
    until(w, at(50))
    assert 300 <= (watched_since(w) - since).total_seconds() < 400


def test_without_a_plan_traffic_moves_at_once() -> None:
    w = begun({})
    settle(w)
    assert w.fake.workspace.traffic_history == [{"blue": 100}, {"green": 100}]
    assert slots(w) == {"green": "vl-nuts:2"}


def test_a_first_model_needs_no_canary() -> None:
    w = live({"rollout": PLAN})
    assert w.fake.workspace.traffic_history == [{"blue": 100}]


@pytest.mark.parametrize("share", [10, 50])
def test_a_challenger_that_fails_users_is_rolled_back_by_itself(share: int) -> None:
    w = begun()
    until(w, at(share))
    seen(w, "one", blue=(400, 0, 50), green=(30, 2, 50))
    seen(w, "two", blue=(400, 0, 50), green=(30, 4, 50))
    settle(w)
    assert w.kinds[-1] == "rollout.rolled_back"
    told = w.events[-1].data
    assert f"At {share} % of the traffic: 6 of 60 requests failed (10.0%), of the champion's 0.0%" in told["reason"]
    assert told["watched"]["green"]["requests"] == 60
    assert champion(w).run == 1
    assert traffic(w) == {"blue": 100}
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert w.state.run(2).rollout == "rolled_back"
    assert list(w.cloud.system.list("health/")) == []


def test_a_slow_challenger_is_rolled_back() -> None:
    w = begun()
    until(w, at(10))
    seen(w, blue=(200, 0, 50), green=(25, 0, 150))
    settle(w)
    assert "the champion's" in w.events[-1].data["reason"]
    assert champion(w).run == 1


def test_a_percentage_starts_with_a_clean_slate() -> None:
    w = begun()
    until(w, at(10))
    seen(w, green=(19, 19, 50), blue=(100, 0, 50))  # too few to tell
    until(w, at(50))
    assert w.state.rollout is not None
    w.wakes(1)
    assert "green" not in (w.state.rollout.watched or {})
    settle(w, most=150)
    assert champion(w).run == 2


def test_a_breach_within_the_window_brings_the_old_champion_back() -> None:
    w = begun()
    until(w, in_step("keep"))
    w.wakes(1)
    assert champion(w).run == 2
    seen(w, green=(50, 25, 50))
    settle(w)
    assert champion(w).run == 1
    assert traffic(w) == {"blue": 100}
    assert slots(w) == {"blue": "vl-nuts:1"}
    assert w.kinds[-2:] == ["rollout.promoted", "rollout.rolled_back"]
    assert "After all traffic moved: 25 of 50 requests failed" in w.events[-1].data["reason"]
    assert [r.rollout for r in w.state.runs] == ["promoted", "rolled_back"]


def test_a_rollback_whose_slot_is_gone_leaves_the_new_champion_and_says_so() -> None:
    w = begun()
    until(w, in_step("keep"))
    w.wakes(1)
    del w.fake.workspace.endpoints[ENDPOINT].slots["blue"]
    seen(w, green=(50, 25, 50))
    settle(w)
    assert champion(w).run == 2
    assert traffic(w) == {"green": 100}
    assert "the old slot is gone" in w.events[-1].data["reason"]
    assert w.kinds[-1] == "rollout.failed"


def test_a_newer_candidate_waits_for_the_end_of_the_window() -> None:
    w = begun()
    until(w, in_step("keep"))
    add(w, 3)
    w.wakes(5)
    assert step(w) == "keep"
    settle(w, most=300)
    assert champion(w).run == 3


def test_a_slot_that_fails_in_azure_ml_gets_no_more_traffic() -> None:
    w = begun()
    until(w, at(10))
    w.fake.workspace.endpoints[ENDPOINT].slots["green"] = DeploymentView("green", "failed", "vl-nuts:2")
    settle(w)
    assert champion(w).run == 1
    assert traffic(w) == {"blue": 100}
    assert "Slot green of nuts-endpoint is failed" in w.events[-1].data["reason"]


def test_a_new_champion_whose_slot_fails_in_the_window_is_rolled_back_though_nobody_asked_it() -> None:
    w = begun()
    until(w, in_step("keep"))
    w.wakes(1)
    w.fake.workspace.endpoints[ENDPOINT].slots["green"] = DeploymentView("green", "failed", "vl-nuts:2")
    settle(w)
    assert (champion(w).run, traffic(w)) == (1, {"blue": 100})
    assert "After all traffic moved: Slot green of nuts-endpoint is failed" in w.events[-1].data["reason"]


def test_traffic_that_does_not_follow_ends_the_rollout() -> None:
    w = begun()
    refuse_traffic(w)
    settle(w)
    assert "goes to blue 100 % after 3 attempts to make it blue 90 %, green 10 %" in w.events[-1].data["reason"]
    assert traffic(w) == {"blue": 100}


def test_nothing_is_watched_before_and_after() -> None:
    w = begun()
    watched: list[tuple[str, str, int]] = []
    for _ in range(120):
        w.wakes()
        if w.state.rollout is not None:
            watched.append((w.state.rollout.step, w.state.rollout.watching, w.state.rollout.share))
    assert {(s, p) for s, f, p in watched if f} == {("canary", 10), ("canary", 50), ("keep", 0)}
    assert watched[-1] == ("done", "", 0)
    assert len({f for _, f, _ in watched if f}) == 3


def test_a_cloud_that_fails_for_a_while_only_delays_the_canary() -> None:
    w = begun()
    until(w, at(10))

    def hook(call: str) -> None:
        if call.startswith("before:workspace."):
            raise Upstream("Azure answered 500")

    w.fake.on_call = hook
    w.wakes(5)
    w.fake.on_call = lambda _: None
    settle(w, most=200)
    assert champion(w).run == 2


@pytest.mark.parametrize("breach", [False, True])
def test_killed_at_any_outside_call_the_end_is_the_same(breach: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    measure_once(monkeypatch)

    def fresh() -> World:
        w = begun({**PLAN, "canary": [50], "rollback_window_minutes": 5})
        until(w, in_step("keep" if breach else "canary"))
        w.wakes(1)
        if breach:
            seen(w, green=(50, 25, 50))
        return w

    calm = fresh()
    for number, w in killed_everywhere(calm, fresh, settle, most=40):
        assert (champion(w).run, traffic(w), slots(w), w.kinds) == (
            champion(calm).run,
            traffic(calm),
            slots(calm),
            calm.kinds,
        ), number
        assert all(sum(share.values()) == 100 for share in w.fake.workspace.traffic_history)


def test_counts_of_processes_are_summed_and_a_percentile_is_near() -> None:
    w = begun()
    until(w, at(10))
    seen(w, "one", blue=(90, 1, 40))
    seen(w, "two", blue=(10, 0, 900))
    assert w.state.rollout is not None
    found = look(w.cloud.system, w.state.rollout.watching)
    assert found == {"blue": Watched(requests=100, errors=1, p95_ms=found["blue"].p95_ms)}
    assert found["blue"].p95_ms is not None
    assert 900 <= found["blue"].p95_ms <= 900 * 1.2
    assert percentile([0] * CLASSES, 0.95) is None


def test_a_tie_is_still_rejected_before_any_traffic() -> None:
    w = begun()
    quality(w).right["vl-nuts:2"] = 8
    settle(w)
    assert w.kinds[-1] == "rollout.rejected"
    assert w.fake.workspace.traffic_history == [{"blue": 100}]


MIRRORED = {**PLAN, "mirror": 20, "canary": []}


def test_copies_are_watched_before_the_challenger_answers_anybody() -> None:
    w = begun(MIRRORED)
    until(w, in_step("mirror"))
    w.wakes(1)
    assert w.state.rollout is not None
    assert (w.state.rollout.mirror, w.state.rollout.share) == (20, 0)
    assert traffic(w) == {"blue": 100}
    seen(w, green=(30, 0, 50), blue=(300, 0, 50))
    until(w, in_step("keep"))
    assert w.fake.workspace.traffic_history == [{"blue": 100}, {"green": 100}]
    assert w.state.rollout.mirror == 0
    assert "rollout.mirror" in w.kinds


def test_a_challenger_that_fails_copies_gets_no_user() -> None:
    w = begun(MIRRORED)
    until(w, in_step("mirror"))
    w.wakes(1)
    seen(w, green=(30, 9, 50), blue=(300, 0, 50))
    settle(w)
    assert w.fake.workspace.traffic_history == [{"blue": 100}]
    assert "Of copied requests: 9 of 30 requests failed" in w.events[-1].data["reason"]
    assert champion(w).run == 1
