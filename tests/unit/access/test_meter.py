from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest

from services.access import meter as module
from services.access.bucket import Bucket
from services.access.meter import OTHERS, Meter, Quota
from services.access.usage import KEPT_DAYS, Usage, Use, usage_blob
from services.cloud.fakes import FakeBlobStore, FakeClock
from services.errors import ChangedMeanwhile, OverQuota, UpstreamBusy


class Process:
    """A process's meter; its writes come by hand."""

    def __init__(self, store: FakeBlobStore, clock: FakeClock) -> None:
        self.ticks, self.started = 0.0, 0
        self.meter = Meter(lambda: Usage(store), clock, lambda: self.ticks)
        self.meter._start = self._start  # type: ignore[method-assign]

    def _start(self, seconds: float) -> None:
        self.started += 1

    def take(self, times: int = 1, who: str = "a", **quotas: int) -> None:
        for _ in range(times):
            self.meter.take("cards", who, Quota(**quotas))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> FakeBlobStore:
    return FakeBlobStore(clock=clock)


def used(store: FakeBlobStore, clock: FakeClock) -> dict[str, list[int]]:
    return {who: list(one.used.values()) for who, one in Usage(store).read("cards", clock().date()).items()}


def test_a_bucket_gives_all_at_once_and_then_one_after_the_other() -> None:
    bucket = Bucket(60, 0)
    assert [bucket.take(60, 0) for _ in range(60)] == [0] * 60
    assert bucket.take(60, 0) == 1
    assert bucket.take(60, 1) == 0
    assert 0 < bucket.take(60, 1.5) <= 0.5
    assert [bucket.take(60, 1000) for _ in range(61)] == [0] * 60 + [1], "never more than a minute's"


def test_a_quota_that_is_lowered_holds_at_once() -> None:
    bucket = Bucket(1000, 0)
    assert [bucket.take(2, 0) > 0 for _ in range(3)] == [False, False, True]


def test_counts_of_all_processes_are_summed_and_writing_twice_does_no_harm(
    store: FakeBlobStore, clock: FakeClock
) -> None:
    one, two = Process(store, clock), Process(store, clock)
    one.take(3)
    two.take(2)
    two.take(1, "b")
    for process in (one, two, one, two):
        process.meter.flush()
        process.take()
        process.meter.flush()
    assert used(store, clock) == {"a": [9], "b": [1]}
    assert Usage(store).read("cards", clock().date())["a"].last_used == clock()


def test_a_days_quota_holds_over_processes_once_they_have_told(store: FakeBlobStore, clock: FakeClock) -> None:
    one, two = Process(store, clock), Process(store, clock)
    one.take(4, per_day=5)
    one.meter.flush()
    two.take(per_day=5)
    two.meter.flush()
    with pytest.raises(OverQuota, match="5 requests of this day") as told:
        two.take(per_day=5)
    midnight = clock().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert told.value.extra["retry_after"] == pytest.approx((midnight - clock()).total_seconds(), abs=1)
    clock.advance(24 * 3600)
    two.take(per_day=5)


def test_what_is_refused_is_not_counted(store: FakeBlobStore, clock: FakeClock) -> None:
    process = Process(store, clock)
    process.take(2, per_minute=2)
    for _ in range(3):
        with pytest.raises(OverQuota, match="2 requests a minute"):
            process.take(per_minute=2)
    process.ticks = 30
    process.take(per_minute=2)
    process.meter.flush()
    assert used(store, clock) == {"a": [3]}


def test_days_are_apart_and_what_is_over_is_forgotten(store: FakeBlobStore, clock: FakeClock) -> None:
    process = Process(store, clock)
    first = clock().date()
    for _ in range(KEPT_DAYS + 1):
        process.take()
        clock.advance(24 * 3600)
        process.meter.flush()
    assert usage_blob("cards", first) not in store.blobs
    assert len([name for name in store.blobs if name.startswith("access/cards/")]) == KEPT_DAYS
    assert process.meter._days == {}


def test_what_cannot_be_written_is_written_later(
    store: FakeBlobStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(store, clock)
    process.take(2)

    def away(_: str) -> None:
        raise UpstreamBusy("storage is away")

    before, store.on_call = store.on_call, away
    with caplog.at_level(logging.WARNING):
        started = process.started
        process.meter.flush()
    assert "storage is away" in caplog.text
    assert process.started == started + 1, "tried again without another request"
    store.on_call = before
    process.meter.flush()
    assert used(store, clock) == {"a": [2]}


def test_endless_changes_by_others_end(store: FakeBlobStore, clock: FakeClock) -> None:
    def write(*_: object, **__: object) -> str:
        raise ChangedMeanwhile("always")

    store.write = write  # type: ignore[method-assign]
    with pytest.raises(ChangedMeanwhile, match="by others"):
        Usage(store).write("cards", clock().date(), "p", {"a": Use(last=clock())})


def test_only_so_many_are_told_apart(store: FakeBlobStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    process = Process(store, clock)
    for who in "abcd":
        process.take(who=who)
    process.meter.flush()
    assert used(store, clock) == {"a": [1], "b": [1], OTHERS: [2]}


def test_flushes_go_one_after_the_other(store: FakeBlobStore, clock: FakeClock) -> None:
    """A slow write of yesterday's counts, while those of today are written too."""
    process, slow, go_on = Process(store, clock), threading.Event(), threading.Event()

    def hang(_: str) -> None:
        slow.set()
        assert go_on.wait(60)

    before, store.on_call = store.on_call, hang
    process.take(2)
    clock.advance(24 * 3600)
    threads = [threading.Thread(target=process.meter.flush) for _ in range(2)]
    threads[0].start()
    assert slow.wait(60)
    store.on_call = before
    process.take()
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert used(store, clock) == {"a": [1, 2]}
    assert list(process.meter._days) == [("cards", clock().date())]


def test_requests_do_not_wait_for_storage(store: FakeBlobStore, clock: FakeClock) -> None:
    """The write hangs, requests go on, and all of them are counted in the end."""
    hanging, go_on = threading.Event(), threading.Event()

    def hang(_: str) -> None:
        hanging.set()
        assert go_on.wait(60)

    store.on_call = hang
    meter = Meter(lambda: Usage(store), clock, every=0.01)
    meter.take("cards", "a")
    assert hanging.wait(60)
    for _ in range(100):
        meter.take("cards", "a")
    go_on.set()
    ends = threading.Event()
    while used(store, clock) != {"a": [101]}:
        assert not ends.wait(0.01)
