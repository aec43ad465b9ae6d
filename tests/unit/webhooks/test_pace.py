"""Moments are given away once, over all processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from services.cloud.fakes import FakeCloud
from services.errors import ChangedMeanwhile, UpstreamBusy
from services.webhooks.pace import Pace

ENDPOINT = "ep_0123456789abcdef"


def test_moments_are_as_far_apart_as_the_rate_says_and_none_is_saved_up() -> None:
    fakes = FakeCloud()
    pace = Pace(fakes.system, fakes.clock)
    assert [pace.reserve(ENDPOINT, 60) for _ in range(3)] == [0, 1, 2]
    fakes.clock.advance(3600)
    assert [pace.reserve(ENDPOINT, 6) for _ in range(3)] == [0, 10, 20]
    assert pace.reserve("ep_ffffffffffffffff", 6) == 0


def test_without_a_rate_nothing_is_written() -> None:
    fakes = FakeCloud()
    assert [Pace(fakes.system, fakes.clock).reserve(ENDPOINT, None) for _ in range(3)] == [0, 0, 0]
    assert fakes.system.blobs == {}


def test_a_hold_moves_the_next_moment_and_never_back() -> None:
    fakes = FakeCloud()
    pace = Pace(fakes.system, fakes.clock)
    pace.hold(ENDPOINT, 90)
    pace.hold(ENDPOINT, 30)
    assert pace.reserve(ENDPOINT, None) == 90
    fakes.clock.advance(91)
    assert pace.reserve(ENDPOINT, None) == 0


def test_processes_that_ask_at_once_get_moments_of_their_own() -> None:
    fakes = FakeCloud()

    def ask(_: int) -> float:
        return Pace(fakes.system, fakes.clock).reserve(ENDPOINT, 60)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(ask, range(12))) == list(range(12))


def test_one_that_never_gets_its_turn_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = FakeCloud()

    def taken(*_: object, **__: object) -> str:
        raise ChangedMeanwhile("somebody was quicker")

    monkeypatch.setattr(fakes.system, "write", taken)
    with pytest.raises(UpstreamBusy):
        Pace(fakes.system, fakes.clock, lambda _: None).reserve(ENDPOINT, 60)
