from __future__ import annotations

import pytest

from services.webhooks.schedule import LONGEST_SECONDS, MOST_ATTEMPTS, pause

HOURS = 3600


def test_the_schedule_is_standard_webhooks() -> None:
    expected = [5, 300, 1800, 2 * HOURS, 5 * HOURS, 10 * HOURS, 14 * HOURS, 20 * HOURS, 24 * HOURS]
    assert [pause(number, None, 0.0) for number in range(1, MOST_ATTEMPTS)] == expected


def test_after_the_last_attempt_there_is_none() -> None:
    assert MOST_ATTEMPTS == 10
    assert pause(MOST_ATTEMPTS, None, 0.5) is None
    assert pause(MOST_ATTEMPTS, 30.0, 0.5) is None


@pytest.mark.parametrize("attempt", range(1, MOST_ATTEMPTS))
def test_jitter_spreads_and_never_hastens(attempt: int) -> None:
    plain, late = pause(attempt, None, 0.0), pause(attempt, None, 0.999)
    assert plain is not None
    assert late is not None
    assert plain < late <= 1.1 * plain


def test_a_receiver_that_asks_for_more_time_gets_it() -> None:
    assert pause(1, 120.0, 0.0) == 120.0
    assert pause(1, 1.0, 0.0) == 5


def test_no_wait_is_longer_than_a_queue_can_hide_a_message() -> None:
    assert pause(1, 1e9, 0.0) == LONGEST_SECONDS
    assert LONGEST_SECONDS < 7 * 24 * HOURS
