from __future__ import annotations

import contextlib
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cloud.fakes import FakeClock, FakeQueue
from services.errors import BadRequest
from services.wake import Wake, Waker, read_wake


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def waker(queue: FakeQueue, clock: FakeClock) -> Waker:
    return Waker(queue, clock, 1.0)


def test_a_wake_travels_through_the_queue(waker: Waker, queue: FakeQueue) -> None:
    assert waker.wake("cards", "blob created")
    [(body, delay)] = queue.sent
    assert read_wake(body) == Wake("cards", "blob created")
    assert delay == 1.0


def test_a_burst_of_ten_thousand_uploads_costs_a_handful_of_messages(
    waker: Waker, queue: FakeQueue, clock: FakeClock
) -> None:
    for _ in range(10_000):
        waker.wake("cards", "blob created")
        clock.advance(0.0004)
    assert len(queue.sent) == 4


def test_an_event_after_the_wake_was_due_needs_one_of_its_own(waker: Waker, queue: FakeQueue, clock: FakeClock) -> None:
    waker.wake("cards", "first")
    clock.advance(1.0)
    assert waker.wake("cards", "second")
    assert len(queue.sent) == 2


def test_a_wake_far_off_does_not_serve_an_event_that_asks_for_sooner(waker: Waker, queue: FakeQueue) -> None:
    waker.wake("cards", "busy", 60)
    assert waker.wake("cards", "blob created")
    assert [delay for _, delay in queue.sent] == [60, 1.0]


def test_loops_do_not_share_wakes(waker: Waker, queue: FakeQueue) -> None:
    assert waker.wake("cards", "")
    assert waker.wake("coins", "")
    assert len(queue.sent) == 2


def test_a_message_that_was_not_accepted_serves_nobody(clock: FakeClock) -> None:
    failing = iter([True, False])

    def fail(call: str) -> None:
        if call == "before:queue.send" and next(failing):
            raise ConnectionError

    queue = FakeQueue(fail)
    waker = Waker(queue, clock, 1.0)
    with pytest.raises(ConnectionError):
        waker.wake("cards", "")
    assert waker.wake("cards", "")
    assert len(queue.sent) == 1


def test_sixty_four_threads_put_one_message(waker: Waker, queue: FakeQueue) -> None:
    threads = [threading.Thread(target=waker.wake, args=("cards", "")) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queue.sent) == 1


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", "null", '{"loop": 3}', '{"loop": "Not a loop"}', '{"loop": ["x"]}', "[" * 5000]
)
def test_a_message_that_is_not_ours_is_refused(body: str) -> None:
    with pytest.raises(BadRequest):
        read_wake(body)


@given(st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps))
def test_any_message_is_read_or_refused(body: str) -> None:
    with contextlib.suppress(BadRequest):
        assert isinstance(read_wake(body), Wake)
