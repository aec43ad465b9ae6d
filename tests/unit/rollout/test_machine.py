"""Candidates, orders, breaches, rests and deaths in any order: traffic is always whole and on slots that answered.

`python3 dev.py test --deep` looks at more and longer histories.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.cloud.ports.serving import DeploymentView
from services.commands import Asked, Commands, command
from services.control_stage import ControlStage
from services.loop_config import LoopConfig
from services.names import activity_blob
from services.rollout.guard import GuardStage
from services.rollout.idle import IdleStage
from services.rollout.stage import RolloutStage
from services.rollout.watch import CLASSES
from services.state import LoopState
from tests.support.histories import DEEP, run_histories
from tests.support.rollouts import ENDPOINT, IMAGES, Quality, add, measure_once, quality, settle, world
from tests.support.stages import LOOP, World

HISTORIES, STEPS = (1000, 60) if DEEP else (25, 30)
SEEN = Counter[str]()
"""What happened in all histories, so that the proof cannot be empty."""


def slots_of(w: World, endpoint: str) -> dict[str, DeploymentView]:
    there = w.fake.workspace.endpoints.get(endpoint)
    return there.slots if there else {}


class Rollouts(RuleBasedStateMachine):
    """One loop's rollouts, and everything that can happen to them."""

    @initialize(canary=st.sampled_from([[], [50], [10, 60]]), window=st.sampled_from([0, 10]), idle=st.booleans())
    def begins(self, canary: list[int], window: int, idle: bool) -> None:
        rollout = {"canary": canary, "bake_seconds": 120, "rollback_window_minutes": window}
        endpoint = {"name": ENDPOINT, **({"idle_after_hours": 1} if idle else {})}
        self.w = world(config={"rollout": rollout, "endpoint": endpoint})
        self.w._stages = [ControlStage(), RolloutStage(), GuardStage(), IdleStage()]
        self.numbers = 1
        self.answered: set[str] = set()
        self.broken: list[str] = []
        self.watch()
        self.inner.right["vl-nuts:1"] = 2
        settle(self.w)
        self.trains(6)

    def watch(self) -> None:
        workspace, inner = self.w.fake.workspace, quality(self.w)
        move, begin = workspace.begin_traffic, workspace.begin_deployment

        def answer(slot: str, image: bytes) -> dict[str, object]:
            found = inner(slot, image)
            self.answered.add(inner.asked[-1][0])
            return found

        def begin_deployment(spec: Any) -> None:
            self.answered.discard(spec.model)
            begin(spec)

        def begin_traffic(endpoint: str, share: dict[str, int]) -> None:
            for slot in (s for s, percent in share.items() if percent):
                view = slots_of(self.w, endpoint).get(slot)
                if view is None:
                    continue  # which is refused
                if view.model not in self.answered:
                    self.broken.append(f"traffic to {view.model}, which never answered")
                if view.state in ("failed", "creating"):
                    self.broken.append(f"traffic to a slot that is {view.state}")
            if sum(share.values()) not in (0, 100):
                self.broken.append(f"traffic {share}")
            move(endpoint, share)

        self.inner: Quality = inner
        self.w.fake.scorer.answer = answer
        workspace.begin_traffic = begin_traffic  # type: ignore[method-assign,assignment]
        workspace.begin_deployment = begin_deployment  # type: ignore[method-assign]

    @rule(seconds=st.sampled_from([5, 31, 31, 200, 4000]), times=st.integers(1, 6))
    def looks(self, seconds: int, times: int) -> None:
        self.w.wakes(times, every=seconds)

    @rule(seconds=st.sampled_from([31, 130]), times=st.integers(5, 25))
    def looks_for_long(self, seconds: int, times: int) -> None:
        self.w.wakes(times, every=seconds)

    @rule()
    def nothing_happens_for_an_hour(self) -> None:
        self.w.fake.clock.advance(3700)
        self.w.wakes(5)

    @rule(number=st.integers(0, 60))
    def dies(self, number: int) -> None:
        self.w.dying_at(number, lambda: self.w.wakes(3))

    @rule(right=st.integers(3, IMAGES))
    def trains(self, right: int) -> None:
        self.numbers += 1
        self.inner.right[f"vl-nuts:{self.numbers}"] = right
        add(self.w, self.numbers)

    @rule(failed=st.sampled_from([0, 20]))
    def bakes_on(self, failed: int) -> None:
        """To where users meet the challenger, whatever it takes."""
        for _ in range(12):
            if self.w.state.rollout is not None and self.w.state.rollout.watching:
                self.users_meet(self.w.state.rollout.slot, failed)
                break
            self.w.wakes()

    @rule(word=st.sampled_from(["promote", "rollback", "hold", "release"]), run=st.none() | st.integers(1, 6))
    def says(self, word: Any, run: int | None) -> None:
        Commands(self.w.fake.system).put(LOOP, command(word, Asked(by="Ada"), self.w.fake.clock(), run))

    @rule(slot=st.sampled_from(["blue", "green"]), failed=st.integers(0, 30))
    def users_meet(self, slot: str, failed: int) -> None:
        rollout = self.w.state.rollout
        if rollout is None or not rollout.watching:
            return
        SEEN["watched"] += 1
        document = {slot: {"requests": 30, "errors": failed, "ms": [30] + [0] * (CLASSES - 1)}}
        self.w.fake.system.write(f"{rollout.watching}one.json", json.dumps({"slots": document}).encode())

    @rule(steps=st.sampled_from([("deploy",), ("canary", "shift")]))
    def the_challengers_slot_fails(self, steps: tuple[str, ...]) -> None:
        """In such a step, if it comes to one within a few looks: by chance alone few histories would get there."""
        for _ in range(6):
            rollout, champion = self.w.state.rollout, self.w.state.champion
            slots = slots_of(self.w, ENDPOINT)
            its_own = rollout is not None and (champion is None or champion.slot != rollout.slot)
            if rollout is not None and its_own and rollout.step in steps and rollout.slot in slots:
                SEEN["failed slots"] += 1
                slots[rollout.slot] = replace(slots[rollout.slot], state="failed", error="no")
                return
            self.w.wakes()

    @rule()
    def predicts(self) -> None:
        note = json.dumps({"last": self.w.fake.clock().isoformat()}).encode()
        self.w.fake.system.write(activity_blob(LOOP), note)

    @invariant()
    def nothing_is_broken(self) -> None:
        assert self.broken == []
        if ENDPOINT in self.w.fake.workspace.endpoints:
            share = self.w.fake.workspace.endpoints[ENDPOINT].view.traffic
            assert sum(share.values()) in (0, 100)
            state = self.w.state
            assert state.champion is None or state.resting is not None or sum(share.values()) == 100

    def the_champion_was_only_replaced_for_a_reason(self) -> None:
        """Told from the timeline: a better one of the same holdout, a person's word, or a way back."""
        live: int | None = None
        for event in self.w.events:
            said, kind = event.data, event.type.removeprefix("visionloop.")
            if kind == "rollout.promoted":
                right = self.inner.right
                better = live is None or right[f"vl-nuts:{said['run']}"] > right[f"vl-nuts:{live}"]
                assert better or "was asked for by Ada" in said["reason"], said
                SEEN["better" if better else "by word"] += 1
                live = said["run"]
            elif kind == "rollout.rolled_back" and "to" in said:
                live = said["to"]
        champion = self.w.state.champion
        assert live == (champion.run if champion else None)

    def teardown(self) -> None:
        """Whatever happened, let go it comes to rest, with the champion's slot alone."""
        if not hasattr(self, "w"):
            return
        let_go(self.w)
        self.nothing_is_broken()
        self.the_champion_was_only_replaced_for_a_reason()
        self.w.wakes(12)
        slots = self.w.fake.workspace.endpoints[ENDPOINT].slots
        champion = self.w.state.champion
        assert set(slots) == ({champion.slot} if champion else set()), self.w.state.rollout
        SEEN.update(self.w.kinds)


def let_go(w: World) -> None:
    """Nobody holds it any more, and what is under way comes to its end."""
    Commands(w.fake.system).put(LOOP, command("release", Asked(), w.fake.clock()))
    calm(w)
    for _ in range(400):
        w.wakes()
        state = w.state
        if state.rollout and state.rollout.step == "done" and not state.rollout_next and not pending(state):
            return
    raise AssertionError(f"it does not end: {w.state.rollout}")


def calm(w: World) -> None:
    """No rest and no long canary while it settles."""

    def change(state: LoopState) -> None:
        kept = {"rollout": {"canary": []}, "endpoint": {"name": ENDPOINT}}
        state.config = state.config.model_copy(update={"config": LoopConfig.model_validate(kept)})

    w.edit(change)


def pending(state: LoopState) -> bool:
    return any(run.rollout == "pending" for run in state.runs)


def test_traffic_is_whole_and_no_worse_model_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    measure_once(monkeypatch)
    run_histories(Rollouts, HISTORIES, STEPS)
    for kind in ("rollout.promoted", "rollout.rejected", "rollout.rolled_back", "rollout.canary", "endpoint.asleep"):
        assert SEEN[kind] > 0, SEEN
    assert min(SEEN["watched"], SEEN["better"], SEEN["rollout.ordered"], SEEN["failed slots"]) > 0, SEEN
