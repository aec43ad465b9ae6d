"""Deliveries are forgotten some days after their last attempt, in pieces that a function has time for."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.errors import ConfigError
from services.settings import Settings, read_settings
from services.webhooks import log
from services.webhooks.log import FOLDER, LogRetention
from services.webhooks.receiver import Answer
from tests.unit.core.test_settings import GOOD
from tests.unit.webhooks.test_deliver import World

DAY = 86400.0


def delivered(world: World, *numbers: int) -> None:
    world.dispatcher.dispatch([world.event(number) for number in numbers])
    world.work()


def test_only_what_is_old_goes_and_nothing_beside_the_log() -> None:
    world = World()
    delivered(world, 1, 2)
    world.fakes.clock.advance(20 * DAY)
    delivered(world, 3)
    world.fakes.clock.advance(11 * DAY)
    before = {name for name in world.fakes.system.blobs if not name.startswith(FOLDER)}
    assert LogRetention(world.fakes.system, 30, world.fakes.clock).forget() == 2
    assert [d["event"] for d in world.log] == ["cards-3"]
    assert {name for name in world.fakes.system.blobs if not name.startswith(FOLDER)} == before
    assert world.registry.get(world.endpoint.id)


def test_one_that_is_still_tried_is_kept_whatever_its_event_is_of() -> None:
    world = World(*[Answer(503, "", 6 * DAY)] * 2)
    world.dispatcher.dispatch([world.event()])
    kept = LogRetention(world.fakes.system, 7, world.fakes.clock)
    for _ in range(2):
        body, _ = world.take()
        assert kept.forget() == 0
        world.deliverer.deliver(body)
    assert len(world.log[0]["attempts"]) == 2


def test_a_sweep_ends_in_time_and_the_next_goes_on() -> None:
    world = World()
    delivered(world, *range(1, 8))
    world.fakes.clock.advance(40 * DAY)
    start, looks = world.fakes.clock(), iter(range(10_000))

    def slow() -> datetime:
        """Every look takes a third of what a sweep may."""
        return start + timedelta(seconds=next(looks) * log.MOST_SECONDS / 3)

    first = LogRetention(world.fakes.system, 30, slow).forget()
    assert 0 < first < 7
    assert LogRetention(world.fakes.system, 30, world.fakes.clock).forget() == 7 - first
    assert world.log == []


@pytest.mark.parametrize("days", ["6", "0", "-1", "x", "1000000"])
def test_fewer_days_than_a_receiver_may_ask_to_wait_are_refused(days: str) -> None:
    with pytest.raises(ConfigError, match="VISIONLOOP_DELIVERY_LOG_DAYS"):
        read_settings({**GOOD, "VISIONLOOP_DELIVERY_LOG_DAYS": days})


def test_a_month_unless_set() -> None:
    assert Settings.model_fields["delivery_log_days"].default == 30
