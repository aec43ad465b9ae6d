from __future__ import annotations

import pytest

from emulator.event_grid.dead_letters import dead_letter
from emulator.event_grid.retries import dead_reason, pause_seconds
from emulator.event_grid.settings import Subscription
from emulator.event_grid.store import Pending

EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "/a/x", "data": {}}


@pytest.mark.parametrize(
    ("status", "attempts", "seconds"),
    [(500, 1, 10), (500, 2, 30), (500, 4, 300), (0, 1, 10), (503, 1, 30), (503, 3, 60), (408, 1, 120), (408, 4, 300)],
)
def test_the_schedule_and_what_a_status_asks_beyond_it(status: int, attempts: int, seconds: int) -> None:
    assert pause_seconds(status, attempts, 0) == seconds
    assert seconds < pause_seconds(status, attempts, 1) <= 1.1 * seconds


@pytest.mark.parametrize(
    ("status", "attempts", "age", "reason"),
    [
        (500, 29, 0, ""),
        (500, 30, 0, "MaxDeliveryAttemptsExceeded"),
        (404, 1, 24 * 3600 + 1, "TimeToLiveExceeded"),
        (400, 1, 0, "UndeliverableDueToHttpBadRequest"),
        (404, 1, 0, ""),
        (0, 1, 0, ""),
    ],
)
def test_why_an_event_is_given_up(status: int, attempts: int, age: float, reason: str) -> None:
    assert dead_reason(status, attempts, age) == reason


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        ("cloudevents", {"deadletterreason", "deliveryattempts", "lastdeliveryoutcome", "publishtime", "source"}),
        ("eventgrid", {"deadLetterReason", "deliveryAttempts", "lastDeliveryOutcome", "publishTime", "topic"}),
    ],
)
def test_a_dead_letter_has_the_published_members_of_its_schema(schema: str, names: set[str]) -> None:
    pending = Pending(1, EVENT, attempts=2, created=0.0)
    found = dead_letter(Subscription("s", "t", "http://hook", schema), pending, 404, "TimeToLiveExceeded", 60.0)
    assert names <= set(found)
    assert (found["id"], found["subject"]) == ("1", "/a/x")
    assert {"NotFound", 3, "1970-01-01T00:00:00.000000Z", "1970-01-01T00:01:00.000000Z"} <= {
        v for v in found.values() if isinstance(v, str | int)
    }
