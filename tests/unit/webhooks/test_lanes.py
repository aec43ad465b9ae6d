"""A receiver has a few places in a process, and all slow ones together leave some to the others."""

from __future__ import annotations

from services.webhooks.lanes import (
    MOST_AT_ONCE,
    MOST_SLOW,
    SLOW_SECONDS,
    WAIT_FOR_SLOW_SECONDS,
    WAIT_SECONDS,
    Lanes,
)
from tests.unit.webhooks.test_deliver import World


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_receiver_has_its_places_and_no_more() -> None:
    lanes = Lanes(Time())
    assert [lanes.enter("a") for _ in range(MOST_AT_ONCE)] == [0.0] * MOST_AT_ONCE
    assert WAIT_SECONDS <= lanes.enter("a") <= 2 * WAIT_SECONDS
    assert lanes.enter("b") == 0
    lanes.leave("a")
    assert lanes.enter("a") == 0


def test_one_that_is_slow_right_now_is_asked_again_later() -> None:
    time = Time()
    lanes = Lanes(time)
    for _ in range(MOST_AT_ONCE):
        lanes.enter("a")
    time.now += SLOW_SECONDS + 1
    assert lanes.enter("a") >= WAIT_FOR_SLOW_SECONDS


def test_slow_receivers_leave_places_to_the_others() -> None:
    time = Time()
    lanes = Lanes(time)
    slow = [f"slow-{n}" for n in range(10)]
    for name in slow:
        lanes.enter(name)
    time.now += SLOW_SECONDS + 1
    for name in slow:
        lanes.leave(name)
    entered = [name for name in slow for _ in range(MOST_AT_ONCE) if lanes.enter(name) == 0]
    assert len(entered) == MOST_SLOW
    assert lanes.enter("quick") == 0


def test_one_that_answers_quickly_again_is_slow_no_longer() -> None:
    time = Time()
    lanes = Lanes(time)
    for seconds, waits in ((SLOW_SECONDS + 1, WAIT_FOR_SLOW_SECONDS), (0.1, WAIT_SECONDS)):
        lanes.enter("a")
        time.now += seconds
        lanes.leave("a")
        for _ in range(MOST_AT_ONCE):
            lanes.enter("a")
        assert waits <= lanes.enter("a") <= 2 * waits
        for _ in range(MOST_AT_ONCE):
            lanes.leave("a")


def test_a_message_that_finds_no_place_comes_again_and_uses_no_attempt_up() -> None:
    world = World()
    world.dispatcher.dispatch([world.event()])
    body, _ = world.take()
    for _ in range(MOST_AT_ONCE):
        world.deliverer._lanes.enter(world.endpoint.id)
    world.deliverer.deliver(body)
    [(again, delay)] = world.queue.sent
    assert (again, world.posted, world.log) == (body, [], [])
    assert delay >= WAIT_SECONDS
    world.deliverer._lanes.leave(world.endpoint.id)
    world.work()
    assert len(world.posted) == 1
