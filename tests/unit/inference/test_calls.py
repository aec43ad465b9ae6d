"""Retries, their budget, and the breaker, on a clock that only these tests move."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import (
    NotFound,
    SlotResting,
    Upstream,
    UpstreamBusy,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreached,
    VisionloopError,
)
from services.inference.breaker import FAILURES, FIRST_SECONDS, MOST_SECONDS, Breaker
from services.inference.budget import MOST, Budget
from services.inference.calls import ATTEMPTS, PATIENCE_SECONDS, Calls, wait_before

SLOT = "https://cards.example/score blue"
DOWN = UpstreamUnreached("nobody there")


class Time:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class World:
    def __init__(self, *errors: VisionloopError) -> None:
        self.time = Time()
        self.calls = Calls(self.time, self.time.sleep, lambda: 0.5)
        self.errors = list(errors)
        self.made = 0

    async def call(self) -> str:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    def run(self, seconds: float = 60, slot: str = SLOT, **options: int) -> str:
        return asyncio.run(self.calls.run(slot, self.time.now + seconds, self.call, **options))


@pytest.mark.parametrize("error", [DOWN, UpstreamBusy("503"), UpstreamBusy("429", retry_after=2.0)])
def test_what_may_pass_by_is_repeated(error: VisionloopError) -> None:
    w = World(error, error)
    assert w.run() == "answer"
    assert w.made == 3
    assert w.time.slept == ([2.0, 2.0] if error.extra else [0.05, 0.1])


@pytest.mark.parametrize(
    "error", [Upstream("500"), UpstreamRefused("400"), UpstreamTimeout("late"), NotFound("gone"), ValueError("ours")]
)
def test_nothing_else_is(error: VisionloopError) -> None:
    w = World(error)
    with pytest.raises(type(error)):
        w.run()
    assert (w.made, w.time.slept) == (1, [])


@pytest.mark.parametrize(("seconds", "rests"), [(PATIENCE_SECONDS, True), (PATIENCE_SECONDS - 0.01, False)])
def test_a_slot_that_is_given_up_often_is_spared_if_it_had_long(seconds: float, rests: bool) -> None:
    w = World()
    for _ in range(FAILURES):
        w.calls.given_up(SLOT, seconds)
    with pytest.raises(SlotResting) if rests else nullcontext():
        w.run()
    assert w.made == (not rests)


def test_attempts_are_few() -> None:
    w = World(*[UpstreamBusy("503")] * 9)
    with pytest.raises(UpstreamBusy):
        w.run()
    assert w.made == ATTEMPTS
    with pytest.raises(UpstreamBusy):
        w.run(attempts=1)
    assert w.made == ATTEMPTS + 1


def test_nobody_waits_beyond_the_deadline() -> None:
    w = World(UpstreamBusy("429", retry_after=5))
    with pytest.raises(UpstreamBusy) as caught:
        w.run(seconds=4.9)
    assert (caught.value.extra, w.time.slept) == ({"retry_after": 5}, [])


def test_a_deadline_that_passed_asks_nobody() -> None:
    w = World()
    with pytest.raises(UpstreamTimeout):
        w.run(seconds=0)
    assert w.made == 0


@given(st.floats(0, 1), st.integers(1, ATTEMPTS - 1), st.one_of(st.none(), st.floats(0, 100)))
def test_waits_are_never_shorter_than_asked_for(dice: float, attempt: int, asked: float | None) -> None:
    extra = {} if asked is None else {"retry_after": asked}
    wait = wait_before(UpstreamBusy("busy", **extra), attempt, dice)
    assert wait is not None
    assert wait >= max(asked or 0, 0.025)


def test_retries_are_a_share_of_the_requests() -> None:
    w = World()
    for _ in range(1000):
        w.errors = [UpstreamBusy("503")] * 9
        with pytest.raises(UpstreamBusy):
            w.run()
    assert w.made <= 1000 * 1.1 + MOST + 1


def test_a_budget_fills_by_requests_and_no_further() -> None:
    budget = Budget()
    for _ in range(500):
        budget.earn()
    assert sum(budget.spend() for _ in range(50)) == MOST
    for _ in range(11):
        budget.earn()
    assert [budget.spend(), budget.spend()] == [True, False]


class TestBreaker:
    def opened(self) -> tuple[Breaker, Time]:
        time = Time()
        breaker = Breaker(time)
        for _ in range(FAILURES):
            assert breaker.enter() == 0
            breaker.done(failed=True)
        return breaker, time

    def test_it_opens_after_failures_in_a_row_only(self) -> None:
        time = Time()
        breaker = Breaker(time)
        for number in range(50):
            assert breaker.enter() == 0
            breaker.done(failed=number % FAILURES != 0)
        breaker, _ = self.opened()
        assert breaker.enter() == FIRST_SECONDS

    def test_one_request_tries_while_the_others_wait(self) -> None:
        breaker, time = self.opened()
        time.now += FIRST_SECONDS
        assert breaker.enter() == 0
        assert breaker.enter() > 0
        breaker.done(failed=False)
        assert [breaker.enter() for _ in range(5)] == [0] * 5

    def test_a_try_that_fails_doubles_the_rest_up_to_a_minute(self) -> None:
        breaker, time = self.opened()
        rests = []
        for _ in range(8):
            rests.append(breaker.enter())
            time.now += rests[-1]
            assert breaker.enter() == 0
            breaker.done(failed=True)
        assert rests == [2, 4, 8, 16, 32, 60, 60, 60]
        assert rests[-1] == MOST_SECONDS

    def test_after_a_success_it_starts_anew(self) -> None:
        breaker, time = self.opened()
        time.now += 100
        breaker.enter()
        breaker.done(failed=True)
        time.now += 100
        breaker.enter()
        breaker.done(failed=False)
        for _ in range(FAILURES):
            assert breaker.enter() == 0
            breaker.done(failed=True)
        assert breaker.enter() == FIRST_SECONDS

    def test_a_try_that_never_ends_does_not_close_it_for_good(self) -> None:
        breaker, time = self.opened()
        time.now += FIRST_SECONDS
        assert breaker.enter() == 0
        time.now += FIRST_SECONDS
        assert breaker.enter() == 0

    def test_of_many_threads_one_tries(self) -> None:
        breaker, time = self.opened()
        time.now += FIRST_SECONDS
        found: list[float] = []
        threads = [threading.Thread(target=lambda: found.append(breaker.enter())) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found.count(0) == 1


def fail(w: World, error: Callable[[], VisionloopError], times: int, seconds: float = 60) -> None:
    for _ in range(times):
        w.errors = [error()]
        with pytest.raises(VisionloopError):
            w.run(seconds, attempts=1)


def test_a_slot_that_is_down_is_spared_and_the_caller_told_when_to_come_back() -> None:
    w = World()
    fail(w, lambda: UpstreamUnreached("down"), FAILURES)
    with pytest.raises(SlotResting, match="blue") as caught:
        w.run()
    assert (w.made, caught.value.status, caught.value.extra) == (FAILURES, 503, {"retry_after": FIRST_SECONDS})
    assert w.run(slot="https://cards.example/score green") == "answer"
    w.time.now += FIRST_SECONDS
    assert w.run() == "answer"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (UpstreamTimeout("late"), 0.5),
        (UpstreamRefused("400"), 60),
        (Upstream("the model raised"), 60),
        (UpstreamBusy("429"), 60),
        (NotFound("gone"), 60),
    ],
)
def test_hurried_callers_and_bad_images_do_not_take_a_slot_from_others(error: VisionloopError, seconds: float) -> None:
    w = World()
    fail(w, lambda: error, 5 * FAILURES, seconds)
    assert w.run() == "answer"


def test_a_hurried_time_out_neither_opens_nor_closes() -> None:
    """It says nothing of the slot: not even that it is back."""
    w = World()
    fail(w, lambda: UpstreamUnreached("down"), FAILURES - 1)
    fail(w, lambda: UpstreamTimeout("late"), 1, seconds=0.5)
    fail(w, lambda: UpstreamUnreached("down"), 1)
    with pytest.raises(SlotResting):
        w.run()
    w.time.now += FIRST_SECONDS
    fail(w, lambda: UpstreamTimeout("late"), 1, seconds=0.5)
    with pytest.raises(SlotResting):
        w.run()
    w.time.now += FIRST_SECONDS
    assert w.run() == "answer"


def test_time_outs_of_the_patient_do() -> None:
    w = World()
    fail(w, lambda: UpstreamTimeout("late"), FAILURES)
    with pytest.raises(SlotResting):
        w.run()


def test_a_call_that_is_cancelled_says_nothing_of_the_slot() -> None:
    """Not even where it was the one that tries a slot which rests."""
    w = World()
    fail(w, lambda: UpstreamUnreached("down"), FAILURES)
    w.time.now += FIRST_SECONDS

    async def scene() -> None:
        gone = asyncio.create_task(w.calls.run(SLOT, w.time.now + 60, lambda: asyncio.sleep(60)))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(scene())
    with pytest.raises(SlotResting):
        w.run()
    w.time.now += FIRST_SECONDS
    assert w.run() == "answer"
