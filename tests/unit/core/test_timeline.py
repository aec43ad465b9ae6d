from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.cloud.fakes import FakeBlobStore
from services.state import Event
from services.timeline import Timeline, sequence_of

START = datetime(2026, 1, 1, 23, 59, tzinfo=UTC)


def event(number: int, loop: str = "cards") -> Event:
    time = START + timedelta(seconds=20 * number)
    return Event(id=f"{loop}-{number}", source="/s", type="visionloop.t", subject=loop, time=time, data={"n": number})


def ids(events: list[Event]) -> list[int]:
    return [sequence_of(e.id) for e in events]


def test_events_are_read_newest_first_over_days() -> None:
    timeline = Timeline(FakeBlobStore())
    timeline.append([event(n) for n in range(1, 7)])
    assert ids(timeline.read("cards")) == [6, 5, 4, 3, 2, 1]
    assert ids(timeline.read("cards", limit=2)) == [6, 5]


def test_pages_follow_each_other() -> None:
    timeline = Timeline(FakeBlobStore())
    timeline.append([event(n) for n in range(1, 13)])
    first = timeline.read("cards", limit=5)
    second = timeline.read("cards", limit=5, before=first[-1].id)
    assert ids(first + second) == list(range(12, 2, -1))


def test_an_event_told_twice_is_read_once() -> None:
    timeline = Timeline(FakeBlobStore())
    timeline.append([event(1), event(2)])
    timeline.append([event(1), event(2), event(3)])
    assert ids(timeline.read("cards")) == [3, 2, 1]


def test_ten_events_are_newer_than_nine() -> None:
    timeline = Timeline(FakeBlobStore())
    timeline.append([event(n) for n in (9, 10, 11)])
    assert ids(timeline.read("cards", before="cards-10")) == [9]


def test_loops_do_not_see_each_other() -> None:
    timeline = Timeline(FakeBlobStore())
    timeline.append([event(1)])
    timeline.append([event(1, "cards-2")])
    assert [e.subject for e in timeline.read("cards")] == ["cards"]


def test_an_event_comes_back_as_it_was() -> None:
    timeline = Timeline(FakeBlobStore())
    timeline.append([event(1)])
    assert timeline.read("cards") == [event(1)]
