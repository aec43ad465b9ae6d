from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ClassVar

import pytest

from services.errors import BadRequest, NoChampion, NotFound, Upstream, UpstreamBusy
from services.inference.champion import FRESH_SECONDS, STALE_SECONDS, Champions
from services.state import Champion, DatasetVersion, LoopState, TrainingRun
from tests.support.predictions import NOW, loop_state
from tests.support.stages import run, version


def champion(champions: Champions, loop: str, *, fresh: bool = False) -> Champion:
    return asyncio.run(champions.champion(loop, fresh=fresh))


class Storage:
    """One blob, as plain HTTP answers for it."""

    def __init__(self, state: LoopState | None) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answer: Callable[[], None] = lambda: None
        self.put(state)

    def put(self, state: LoopState | None) -> None:
        self.state = state
        self.etag = str(id(state))

    def __call__(self, name: str, etag: str) -> tuple[int, str, bytes]:
        self.asked.append((name, etag))
        self.answer()
        if self.state is None:
            return 404, "", b""
        if etag == self.etag:
            return 304, etag, b""
        return 200, self.etag, self.state.model_dump_json().encode()

    def fail(self, error: Exception) -> None:
        def answer() -> None:
            raise error

        self.answer = answer


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_state_is_read_once_in_a_while_and_then_by_its_etag() -> None:
    storage, clock = Storage(loop_state()), Clock()
    champions = Champions(storage, clock)
    for _ in range(5):
        assert champion(champions, "cards").slot == "blue"
    clock.now += FRESH_SECONDS
    assert champion(champions, "cards").slot == "blue"
    assert storage.asked == [("state/cards.json", ""), ("state/cards.json", storage.etag)]


def test_a_new_champion_is_seen_when_the_time_is_over_or_when_asked_afresh() -> None:
    storage, clock = Storage(loop_state()), Clock()
    champions = Champions(storage, clock)
    champion(champions, "cards")
    storage.put(loop_state(slot="green"))
    assert champion(champions, "cards").slot == "blue"
    assert champion(champions, "cards", fresh=True).slot == "green"
    storage.put(loop_state(slot="blue"))
    clock.now += FRESH_SECONDS
    assert champion(champions, "cards").slot == "blue"


def test_storage_that_is_away_is_outlived_for_a_while() -> None:
    storage, clock = Storage(loop_state()), Clock()
    champions = Champions(storage, clock)
    champion(champions, "cards")
    storage.fail(UpstreamBusy("Storage answered 503"))
    clock.now += FRESH_SECONDS
    for _ in range(3):
        assert champion(champions, "cards").slot == "blue"
    assert len(storage.asked) == 2, "it is not asked at every request"
    clock.now += STALE_SECONDS
    with pytest.raises(UpstreamBusy):
        champion(champions, "cards")


def test_storage_that_never_answered_is_an_error_and_not_a_missing_loop() -> None:
    storage = Storage(None)
    storage.fail(Upstream("Storage did not answer"))
    champions = Champions(storage, Clock())
    for _ in range(2):
        with pytest.raises(Upstream):
            champion(champions, "cards")
    assert len(storage.asked) == 2


def test_an_unknown_loop_is_not_remembered() -> None:
    storage = Storage(None)
    champions = Champions(storage, Clock())
    with pytest.raises(
        NotFound, match=r"no loop named cards: one begins with cards/loop\.yaml or a file below cards/images/"
    ):
        champion(champions, "cards")
    storage.put(loop_state())
    assert champion(champions, "cards").slot == "blue"


def test_what_is_no_name_is_not_asked_for() -> None:
    storage = Storage(None)
    with pytest.raises(BadRequest):
        champion(Champions(storage, Clock()), "../secrets")
    assert storage.asked == []


def test_a_removed_loop_is_gone() -> None:
    storage, clock = Storage(loop_state()), Clock()
    champions = Champions(storage, clock)
    champion(champions, "cards")
    storage.put(None)
    clock.now += FRESH_SECONDS
    with pytest.raises(NotFound):
        champion(champions, "cards")


def test_while_one_request_looks_the_others_do_not_wait() -> None:
    storage, clock = Storage(loop_state()), Clock()
    champions = Champions(storage, clock)
    champion(champions, "cards")
    clock.now += FRESH_SECONDS
    looking, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        looking.set()
        assert go_on.wait(60)

    storage.answer = slow
    thread = threading.Thread(target=lambda: champion(champions, "cards"))
    thread.start()
    assert looking.wait(60)
    assert champion(champions, "cards").slot == "blue"
    go_on.set()
    thread.join(60)
    assert len(storage.asked) == 2


def test_many_first_requests_ask_once() -> None:
    storage = Storage(loop_state())
    champions, started = Champions(storage, Clock()), threading.Barrier(8)

    def ask() -> None:
        started.wait()
        champion(champions, "cards")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(storage.asked) == 1


def test_many_first_requests_fail_at_once_where_storage_does() -> None:
    """One after the other each would wait as long again, and hold a thread that others need."""
    storage, came = Storage(loop_state()), threading.Semaphore(0)

    def clock() -> float:
        came.release()
        return 1000.0

    def all_have_come() -> None:
        for _ in range(8 + 1):  # who looks has seen twice that it is time
            assert came.acquire(timeout=60)
        raise UpstreamBusy("Storage answered 503", retry_after=3)

    storage.answer = all_have_come
    champions, told = Champions(storage, clock), list[tuple[str, dict[str, object]]]()

    def ask() -> None:
        with pytest.raises(UpstreamBusy) as caught:
            champion(champions, "cards")
        told.append((caught.value.detail, caught.value.extra))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told == [("Storage answered 503", {"retry_after": 3})] * 8
    assert len(storage.asked) == 1
    storage.answer = lambda: None
    assert champion(champions, "cards").slot == "blue"


def test_names_that_storage_could_not_say_anything_of_are_not_collected() -> None:
    storage = Storage(None)
    storage.fail(Upstream("Storage did not answer"))
    champions = Champions(storage, Clock())
    for number in range(3):
        with pytest.raises(Upstream):
            champion(champions, f"cards-{number}")
    assert champions._known == {}


class TestHowFar:
    """409 tells what is still missing."""

    @staticmethod
    def refused(datasets: tuple[DatasetVersion, ...] = (), runs: tuple[TrainingRun, ...] = ()) -> NoChampion:
        state = loop_state(live=False)
        state.datasets, state.runs = list(datasets), list(runs)
        state.reasons = {"training": "12 of 20 labelled images; class `jack` has 2 of 5"}
        with pytest.raises(NoChampion) as caught:
            champion(Champions(Storage(state), Clock()), "cards")
        assert caught.value.status == 409
        return caught.value

    def test_counts_against_thresholds(self) -> None:
        error = self.refused()
        assert "cards has 12 labelled images (12 of 20 toward the first training run)" in error.detail
        assert "class `jack` has 2 of 5" in error.detail
        assert error.extra["progress"] == {
            "toward": "the first training run", "have": 12, "of": 20, "per_class": 5, "classes": {"jack": 2},
        }  # fmt: skip

    def test_the_running_job(self) -> None:
        job = run(status="submitted", phase="Running", finished=None)
        assert "Training run 1 on dataset version 1: running" in self.refused((version(),), (job,)).detail


def test_the_reader_speaks_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    from services.cloud.fakes import fake_settings
    from services.inference import champion

    class Pool:
        status = 200

        def request(self, method: str, url: str, headers: dict[str, str], timeout: float) -> Pool:
            self.seen = (method, url, headers)
            return self

        headers: ClassVar = {"etag": '"5"'}
        data = b"body"

    pool = Pool()
    monkeypatch.setattr(champion, "pool", lambda: pool)
    monkeypatch.setattr("services.inference.champion.identity.token", lambda resource: f"token for {resource}")
    reader = champion.StateReader(fake_settings())
    assert reader("state/cards.json", '"4"') == (200, '"5"', b"body")
    method, url, headers = pool.seen
    assert (method, url) == ("GET", "https://system.example/visionloop-system/state/cards.json")
    assert headers["if-none-match"] == '"4"'
    assert headers["authorization"] == "Bearer token for https://storage.azure.com"
    for status, kind in {403: Upstream, 503: UpstreamBusy, 429: UpstreamBusy, 500: Upstream}.items():
        pool.status = status
        with pytest.raises(kind, match=str(status)):
            reader("state/cards.json", "")


def test_a_state_of_today_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LoopState.model_validate_json(loop_state().model_dump_json()).created == NOW
