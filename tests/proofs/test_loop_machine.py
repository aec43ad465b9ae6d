"""Whatever users, Azure, the network and the clock do, in any order: no paid job twice, no worse model live, it settles.

`python3 dev.py test --deep` looks at more and longer histories, and new ones each time.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.errors import Upstream
from tests.support.histories import DEEP, run_histories
from tests.support.living_loop import CLASSES, IDLE_HOURS, MOST_IMAGES, PASSING, QUALITIES, LivingLoop

HISTORIES, STEPS = (2000, 50) if DEEP else (500, 30)
NUMBERS = st.integers(0, MOST_IMAGES - 1)
CALLS = st.integers(0, 160)
ERRORS = st.sampled_from(["Quota exceeded", PASSING, "Bad data in line 3"])
SEEN = Counter[str]()
"""What happened in all histories, so that the proof cannot be empty."""
SETTLED_AFTER = 2
"""Wakes, after the last thing that happened, until nothing changes any more."""


class Loop(RuleBasedStateMachine):
    """One loop, and everything that can happen to it."""

    @initialize(count=st.integers(6, 16))
    def begins(self, count: int) -> None:
        self.loop = LivingLoop()
        self.before: str | None = None
        self.taken_away = False
        self.champions = set[str | None]()
        for number in range(count):
            self.loop.image(number)
            self.loop.label(number, CLASSES[number % 2])
        self.loop.event()

    # the user

    @rule(first=NUMBERS, count=st.integers(1, 6), name=st.sampled_from(CLASSES))
    def labels_more(self, first: int, count: int, name: str) -> None:
        for number in range(first, min(first + count, MOST_IMAGES)):
            self.loop.image(number)
            self.loop.label(number, name)

    @rule(number=NUMBERS)
    def uploads_an_image(self, number: int) -> None:
        self.loop.image(number)

    @rule(number=NUMBERS, name=st.sampled_from(CLASSES), shift=st.integers(-4, 4))
    def labels_again(self, number: int, name: str, shift: int) -> None:
        self.loop.label(number, name, shift)

    @rule(number=NUMBERS, what=st.sampled_from(["images/{:03}.png", "labels/{:03}.xml"]))
    def deletes(self, number: int, what: str) -> None:
        self.loop.remove(what.format(number))

    @rule(number=NUMBERS)
    def uploads_rubbish(self, number: int) -> None:
        self.loop.put(f"labels/{number:03}.xml", b"<annotation><object>")

    @rule(first=NUMBERS, quality=st.integers(1, QUALITIES), looks=st.integers(3, 14))
    def things_go_well(self, first: int, quality: int, looks: int) -> None:
        """More labels, a job, a rollout: as far as so many wakes get. Without it few histories would get far."""
        self.labels_more(first, 5, CLASSES[first % 2])
        self.loop.event()
        for _ in range(looks):
            self.looks(1)
            for job in self.loop.running()[:1]:
                self.loop.complete(job, quality)

    @rule(idle=st.booleans())
    def lets_the_endpoint_rest_or_not(self, idle: bool) -> None:
        self.loop.configure(IDLE_HOURS if idle else None)
        self.loop.event()

    @precondition(lambda self: self.before is not None)
    @rule(looks=st.integers(1, 4))
    def nobody_asks_for_a_day(self, looks: int) -> None:
        self.loop.configure(IDLE_HOURS)
        self.loop.wake()
        self.loop.fake.clock.advance(90_000)
        for _ in range(looks):
            self.loop.settle_slots()
            self.loop.wake()

    @rule(looks=st.integers(0, 2))
    def asks_for_a_prediction(self, looks: int) -> None:
        self.loop.asks()
        for _ in range(looks):
            self.loop.settle_slots()
            self.looks(1)

    # events, wakes, time

    @rule(copies=st.integers(0, 3))
    def events_come(self, copies: int) -> None:
        for _ in range(copies):
            self.loop.event()

    @rule(copies=st.integers(1, 2))
    def looks(self, copies: int) -> None:
        self._pass_until_due()
        self.loop.look(copies=copies)

    @rule(call=CALLS)
    def dies_while_looking(self, call: int) -> None:
        self._pass_until_due()
        self.loop.look(dies_at=call)

    @rule(seconds=st.sampled_from([1, 6, 61, 3700, 90_000, -1, -30]))
    def time_jumps(self, seconds: int) -> None:
        self.loop.fake.clock.advance(seconds)

    def _pass_until_due(self) -> None:
        due = self.loop.next_due()
        if due is not None and due < 7200:
            self.loop.fake.clock.advance(due)

    # Azure ML

    @precondition(lambda self: self.loop.running())
    @rule(quality=st.integers(1, QUALITIES))
    def job_completes(self, quality: int) -> None:
        self.loop.complete(self.loop.running()[0], quality)

    @precondition(lambda self: self.loop.running())
    @rule(error=ERRORS)
    def job_fails(self, error: str) -> None:
        self.loop.end(self.loop.running()[0], "failed", error)

    @precondition(lambda self: self.loop.running())
    @rule()
    def somebody_cancels_the_job(self) -> None:
        self.loop.end(self.loop.running()[0], "canceled")

    @precondition(lambda self: self.loop.running())
    @rule()
    def all_trials_fail(self) -> None:
        self.loop.end(self.loop.running()[0], "completed")

    @precondition(lambda self: self.loop.running() and self.loop.state.active_run.status == "submitted")
    @rule()
    def the_job_vanishes(self) -> None:
        """One that vanishes before we know that it was taken is one that was not taken."""
        del self.loop.fake.workspace.jobs[self.loop.running()[0]]

    @rule(call=CALLS)
    def azure_fails_once(self, call: int) -> None:
        self._pass_until_due()
        left = iter(range(call, -1, -1))

        def hook(name: str) -> None:
            if name.startswith(("before:workspace", "before:scorer")) and next(left, 1) == 0:
                raise Upstream("Azure ML is down")

        self.loop.fake.on_call = hook
        self.loop.look()
        self.loop.fake.on_call = lambda _: None

    @precondition(lambda self: self._may_be_taken_away())
    @rule(endpoint=st.booleans(), looks=st.integers(0, 6))
    def somebody_deletes_what_is_live(self, endpoint: bool, looks: int) -> None:
        self.taken_away = True
        self.loop.take_away(endpoint=endpoint)
        self.loop.fake.clock.advance(901)
        for _ in range(looks):
            self.loop.wake()
            self.loop.settle_slots()

    def _may_be_taken_away(self) -> bool:
        """Once, and where it can be brought back: a champion that cannot be is replaced without a comparison."""
        if self.before is None or self.taken_away or self.loop.fake.workspace.failing_slots:
            return False
        rollout = self.loop.state.rollout
        return rollout is None or rollout.step == "done"

    @precondition(lambda self: not self.taken_away)
    @rule(slot=st.sampled_from(["blue", "green"]), bad=st.booleans())
    def slots_fail_from_now_on(self, slot: str, bad: bool) -> None:
        change = self.loop.fake.workspace.failing_slots
        change.add(slot) if bad else change.discard(slot)

    # what must hold

    @invariant()
    def no_job_twice_and_no_traffic_astray(self) -> None:
        assert not self.loop.broken

    @invariant()
    def only_a_better_model_goes_live(self) -> None:
        now = self.loop.champion()
        if now != self.before and self.before is not None and now is not None:
            assert self.loop.model_quality(now) > self.loop.model_quality(self.before)
        self.before = now or self.before
        self.champions.add(self.before)

    @invariant()
    def the_champion_stays(self) -> None:
        assert self.before is None or self.loop.champion() is not None

    def teardown(self) -> None:
        """The last fault is over, Azure does what it was asked for, and time passes."""
        if not hasattr(self, "loop"):
            return
        loop = self.loop
        loop.start_process()
        loop.fake.workspace.failing_slots.clear()
        loop.configure()
        loop.fake.clock.advance(90_000)
        for _ in range(40):
            loop.fake.clock.advance(61)
            if not self._settles():
                break
        else:
            raise AssertionError("Azure was asked for more and more")
        self.no_job_twice_and_no_traffic_astray()
        self.only_a_better_model_goes_live()
        self._nothing_is_open()
        SEEN.update(e.type.removeprefix("visionloop.") for e in loop.told.values())
        SEEN["replaced"] += len(self.champions - {None}) > 1

    def _settles(self) -> bool:
        """A few wakes come to rest; returns whether Azure still had something to do then."""
        loop = self.loop
        for _ in range(SETTLED_AFTER):
            loop.wake()
        before = loop.document()
        loop.wake()
        waits = (before["rollout"] is not None and before["rollout"]["step"] != "done") or before["resting"] is not None
        waits = waits or before["guard"]["trouble"] is not None
        busy = loop.settle_slots() or bool(loop.running()) or waits
        for job in loop.running():
            loop.complete(job, QUALITIES)
        assert busy or loop.document() == before
        return busy

    def _nothing_is_open(self) -> None:
        state = self.loop.state
        assert state.resting is None
        assert (state.guard.trouble, state.guard.repair) == (None, None)
        assert all(v.status == "registered" for v in state.datasets)
        assert state.active_run is None
        assert not any(r.rollout == "pending" for r in state.runs)
        assert not state.outbox
        assert len({v.content_hash for v in state.datasets}) == len(state.datasets)
        assert len({e.id for e in self.loop.told.values()}) == len(self.loop.told)
        if state.champion:
            traffic = self.loop.fake.workspace.endpoints[state.champion.endpoint].view.traffic
            assert traffic == {state.champion.slot: 100}


@pytest.mark.timeout(3600)
def test_no_history_pays_twice_or_ends_worse() -> None:
    run_histories(Loop, HISTORIES, STEPS, (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink))
    expected = {
        "training.failed": 0.1,
        "rollout.promoted": 0.4,
        "rollout.rejected": 0.2,
        "replaced": 0.02,
        "endpoint.awake": 0.02,
        "endpoint.restored": 0.04,
    }
    missing = {kind: SEEN[kind] for kind, share in expected.items() if SEEN[kind] < share * HISTORIES}
    assert not missing, "what was proved did not happen"
