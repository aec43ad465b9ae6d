"""The same while somebody deletes or moves what is live, in any step: let go, the champion is live again with all traffic.

`python3 dev.py test --deep` looks at more and longer histories.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from services.cloud.ports.serving import DeploymentView
from services.loop_config import LoopConfig
from services.state import LoopState
from tests.support.histories import DEEP, run_histories
from tests.support.rollouts import ENDPOINT, measure_once
from tests.support.stages import World
from tests.unit.rollout.test_machine import SEEN, Rollouts, let_go

HISTORIES, STEPS = (1000, 60) if DEEP else (12, 30)
DAY = 24 * 3600.0


class Harmed(Rollouts):
    """Somebody has the right to change everything in Azure ML studio, and does."""

    @rule(what=st.sampled_from(["slot", "endpoint", "moved", "none"]), looks=st.integers(0, 4))
    def somebody_harms(self, what: str, looks: int) -> None:
        champion, there = self.w.state.champion, self.w.fake.workspace.endpoints.get(ENDPOINT)
        if champion is None or there is None:
            return
        SEEN[f"harm: {what}"] += 1
        if what == "endpoint":
            del self.w.fake.workspace.endpoints[ENDPOINT]
        if what == "slot":
            there.slots.pop(champion.slot, None)
        if what == "moved":
            there.slots["prod"] = DeploymentView("prod", "succeeded", "cats:7")
        there.view = replace(there.view, traffic={"prod": 100} if what == "moved" else {})
        self.w.fake.clock.advance(901)
        self.w.wakes(looks)

    @invariant()
    def nothing_is_broken(self) -> None:
        """Traffic may be anywhere, but not by our doing."""
        assert self.broken == []

    def teardown(self) -> None:
        """A day without harm, with leave to take the traffic back, and all is as it is to be."""
        if not hasattr(self, "w"):
            return
        let_go(self.w)
        take_back(self.w)
        self.w.fake.clock.advance(DAY)
        self.w.wakes(30, every=61)
        state = self.w.state
        assert (state.guard.trouble, state.guard.repair, state.resting) == (None, None, None)
        assert self.broken == []
        if state.champion is not None:
            there = self.w.fake.workspace.endpoints[ENDPOINT]
            assert dict(there.view.traffic) == {state.champion.slot: 100}
            assert set(there.slots) - {"prod"} == {state.champion.slot}
        SEEN.update(self.w.kinds)


def take_back(w: World) -> None:
    def change(state: LoopState) -> None:
        kept = {"rollout": {"canary": []}, "endpoint": {"name": ENDPOINT, "repair": "all"}}
        state.config = state.config.model_copy(update={"config": LoopConfig.model_validate(kept)})

    w.edit(change)


def test_whatever_somebody_does_to_it_the_champion_is_live_again(monkeypatch: pytest.MonkeyPatch) -> None:
    measure_once(monkeypatch)
    run_histories(Harmed, HISTORIES, STEPS)
    for kind in ("endpoint.lost", "endpoint.restored", "harm: slot", "harm: endpoint", "harm: moved"):
        assert SEEN[kind] > 0, SEEN
