"""Who answers while a rollout is watched, what is counted, and that nothing is otherwise."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from services.cloud.fakes import FakeBlobStore
from services.errors import (
    BadRequest,
    Conflict,
    NotFound,
    Upstream,
    UpstreamBusy,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreached,
)
from services.inference import calls, routes
from services.inference.breaker import FAILURES
from services.inference.champion import Champions
from services.inference.record import MOST_FOLDERS, Recorder
from services.inference.routes import Routes
from services.rollout.watch import look
from services.state import LoopState, ModelRef, Rollout
from tests.support.predictions import NOW, loop_state
from tests.support.stages import version
from tests.support.timing import held, tried_again

FOLDER = "health/cards/run-2/one/"


def baking(share: int = 10, watching: str = FOLDER) -> LoopState:
    state = loop_state()
    state.datasets = [version(2, task="object_detection", classes=["ace", "jack", "king"])]
    state.rollout = Rollout(
        run=2,
        model=ModelRef(name="vl-cards", version="2"),
        dataset_version=2,
        endpoint="vl-cards-abc",
        slot="green",
        scoring_uri="https://cards.example/score",
        step="canary",
        started=NOW,
        step_started=NOW,
        share=share,
        watching=watching,
    )
    return state


class World:
    def __init__(self, state: LoopState, every: float = 0.02) -> None:
        self.state, self.reads = state, 0
        self.store = FakeBlobStore()
        self.recorder = Recorder(self.store.write, every)
        self.dice = 0.5
        self.champions = Champions(self.read)
        self.missed: list[str] = []
        self.routes = Routes(self.champions, self.recorder, lambda: self.dice, missed=self.missed.append)
        self.fails: dict[str, Exception] = {}
        self.asked: list[str] = []
        self.ends: dict[str, float] = {}

    def read(self, name: str, etag: str) -> tuple[int, str, bytes]:
        self.reads += 1
        return 200, "", self.state.model_dump_json().encode()

    async def score(self, model: Any, ends: float) -> str:
        self.asked.append(model.slot)
        self.ends[model.slot] = ends
        if error := self.fails.get(model.slot):
            raise error
        return f"by {model.model.version}"

    def ask(self) -> tuple[str, str]:
        model, answer = self.as_client("")
        return model.slot, answer

    def as_client(self, client: str) -> tuple[Any, str]:
        return asyncio.run(self.routes.ask("cards", self.score, client=client))

    def ask_one(self, slot: str, version: str) -> tuple[Any, str]:
        return asyncio.run(self.routes.ask_one("cards", slot, version, self.score))

    def seen(self) -> dict[str, tuple[int, int]]:
        self.recorder.flush()
        return {slot: (found.requests, found.errors) for slot, found in look(self.store, FOLDER).items()}


@pytest.mark.parametrize(("dice", "slot"), [(0.0, "green"), (0.0999, "green"), (0.1, "blue"), (0.999, "blue")])
def test_a_share_of_the_requests_goes_to_the_challenger(dice: float, slot: str) -> None:
    w = World(baking(share=10))
    w.dice = dice
    assert w.ask() == (slot, "by 2" if slot == "green" else "by 1")


def test_the_challenger_answers_as_the_model_that_it_is() -> None:
    w = World(baking(share=99))
    w.dice = 0
    model, _ = w.as_client("")
    assert (model.run, model.model.version, model.classes) == (2, "2", ["ace", "jack", "king"])


def test_without_a_rollout_everything_goes_to_the_champion_and_nothing_is_written() -> None:
    for state in (loop_state(), baking(watching="")):
        w = World(state)
        w.dice, before = 0, set(threading.enumerate())
        assert w.ask() == ("blue", "by 1")
        w.recorder.flush()
        assert w.store.calls == []
        assert {one for one in threading.enumerate() if not one.name.startswith("blocking")} <= before
        assert w.recorder._timer is None


def test_requests_failures_and_latency_are_counted_by_slot() -> None:
    w = World(baking())
    for dice in (0.0, 0.5, 0.6, 0.7):
        w.dice = dice
        w.ask()
    assert w.seen() == {"green": (1, 0), "blue": (3, 0)}
    found = look(w.store, FOLDER)
    assert found["blue"].p95_ms is not None
    assert found["blue"].p95_ms < 100


@pytest.mark.parametrize("error", [Upstream("502"), UpstreamBusy("429"), NotFound("gone"), Conflict("is updated")])
def test_nobody_suffers_from_a_challenger_that_fails(error: Exception) -> None:
    w = World(baking())
    w.dice, w.fails = 0.0, {"green": error}
    assert w.ask() == ("blue", "by 1")
    assert w.asked == ["green", "blue"]
    assert w.seen() == {"green": (1, 1), "blue": (1, 0)}


async def hung(w: World, model: Any, ends: float) -> str:
    """Until the deadline."""
    w.asked.append(model.slot)
    await asyncio.sleep(max(0, ends - time.monotonic()))
    raise UpstreamTimeout("late")


Slot = Callable[[World, Any, float], Awaitable[str]]


def after(seconds: float) -> Slot:
    """Says what it says, later."""

    async def score(w: World, model: Any, ends: float) -> str:
        await asyncio.sleep(seconds)
        return await w.score(model, ends)

    return score


def beside(w: World, green: Slot, blue: Slot, seconds: float) -> tuple[str, str]:
    """Who answers a request for which the challenger is chosen, where the slots act so."""
    w.dice = 0.0

    async def score(model: Any, ends: float) -> str:
        return await (green if model.slot == "green" else blue)(w, model, ends)

    async def scene() -> tuple[str, str]:
        before = asyncio.all_tasks()
        try:
            model, answer = await w.routes.ask("cards", score, ends=time.monotonic() + seconds)
            return model.slot, answer
        finally:
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == before, "whoever is not waited for any more goes on"

    return asyncio.run(scene())


def test_nobody_suffers_from_a_challenger_that_hangs() -> None:
    w = World(baking())
    began = time.monotonic()
    assert beside(w, hung, World.score, seconds=4) == ("blue", "by 1")
    assert 1.9 < time.monotonic() - began < 4
    assert w.asked == ["green", "blue"]
    assert w.seen() == {"green": (1, 1), "blue": (1, 0)}


def test_a_challenger_is_not_waited_for_longer_than_tells_something_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is spared after a few of these, as after time-outs."""
    monkeypatch.setattr(routes, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(calls, "PATIENCE_SECONDS", 0.05)
    w = World(baking())
    for _ in range(FAILURES + 1):
        assert beside(w, hung, World.score, seconds=600) == ("blue", "by 1")
    assert w.asked == ["green", "blue"] * FAILURES + ["blue"]
    assert w.seen() == {"green": (FAILURES + 1, FAILURES + 1), "blue": (FAILURES + 1, 0)}


def test_who_was_in_a_hurry_says_nothing_of_a_slot() -> None:
    w = World(baking())
    for _ in range(FAILURES + 1):
        assert beside(w, hung, World.score, seconds=0.2) == ("blue", "by 1")
    assert w.asked == ["green", "blue"] * (FAILURES + 1)


def test_a_challenger_that_needs_most_of_the_deadline_has_it() -> None:
    """As the champion would: both work, only the caller's time is short."""
    w = World(baking())
    assert beside(w, after(1.5), after(1.5), 2) == ("green", "by 2")
    assert w.seen() == {"green": (1, 0)}


def test_a_champion_that_fails_meanwhile_leaves_it_to_the_challenger() -> None:
    w = World(baking())
    w.fails = {"blue": Upstream("500")}
    assert beside(w, after(1.2), World.score, 2) == ("green", "by 2")
    assert w.seen() == {"green": (1, 0), "blue": (1, 1)}


def test_a_challenger_that_fails_late_has_taken_nobodys_time() -> None:
    w = World(baking())
    w.fails = {"green": Upstream("500")}
    slot = beside(w, after(1.2), after(0.6), 2)
    assert slot == ("blue", "by 1")
    assert w.seen() == {"green": (1, 1), "blue": (1, 0)}


def test_an_image_that_the_champion_refuses_is_not_the_challengers_failure() -> None:
    w = World(baking())
    w.fails = {"blue": UpstreamRefused("no image")}
    began = time.monotonic()
    with pytest.raises(UpstreamRefused):
        beside(w, hung, World.score, seconds=4)
    assert time.monotonic() - began < 4
    assert w.seen() == {"blue": (1, 0)}


def test_where_both_hang_both_have_failed() -> None:
    w = World(baking())
    with pytest.raises(UpstreamTimeout):
        beside(w, hung, hung, seconds=0.2)
    assert w.asked == ["green", "blue"]
    assert w.seen() == {"green": (1, 1), "blue": (1, 1)}


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("green", ["answers", "fails", "refuses", "hangs"])
@pytest.mark.parametrize("blue", ["answers", "fails", "refuses", "hangs"])
def test_no_image_outlives_its_request(green: str, blue: str) -> None:
    """Not until a search for cycles finds it: those are seldom."""

    class Image:
        pass

    acts = {"green": green, "blue": blue}
    w = World(baking())
    w.dice = 0.0

    async def asked(image: Image) -> None:
        async def score(model: Any, ends: float) -> str:
            assert image is not None
            if acts[model.slot] == "hangs":
                return await hung(w, model, ends)
            if acts[model.slot] != "answers":
                raise (Upstream if acts[model.slot] == "fails" else UpstreamRefused)("no")
            return "answer"

        with suppress(Upstream):
            await w.routes.ask("cards", score, ends=time.monotonic() + 0.1)

    async def scene() -> None:
        image = Image()
        seen = weakref.ref(image)
        asking = asked(image)
        del image
        await asking
        del asking
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen() is None

    asyncio.run(scene())


def test_a_slot_that_was_not_asked_in_time_has_not_failed() -> None:
    w = World(baking())
    with pytest.raises(UpstreamTimeout):
        beside(w, World.score, World.score, seconds=-1)
    assert w.asked == []
    assert w.seen() == {}


def test_an_image_that_is_refused_is_nobodys_failure() -> None:
    w = World(baking())
    w.dice, w.fails = 0.0, {"green": UpstreamRefused("no image")}
    with pytest.raises(UpstreamRefused):
        w.ask()
    assert w.asked == ["green"]
    assert w.seen() == {"green": (1, 0)}


def test_a_champion_that_fails_is_counted_and_said() -> None:
    w = World(baking())
    w.fails = {"blue": Upstream("502")}
    with pytest.raises(Upstream):
        w.ask()
    assert w.seen() == {"blue": (1, 1)}


def test_after_the_shift_the_new_champion_is_watched_without_a_challenger() -> None:
    w = World(baking(share=0))
    w.dice = 0
    assert w.ask() == ("blue", "by 1")
    assert w.seen() == {"blue": (1, 0)}


@pytest.fixture
def slow() -> Iterator[tuple[Callable[[str, bytes], None], list[str]]]:
    written: list[str] = []

    def write(name: str, data: bytes) -> None:
        time.sleep(0.05)
        written.append(name)

    return write, written  # type: ignore[return-value]


@tried_again
def test_many_requests_make_few_writes_and_wait_for_none(slow: Any) -> None:
    write, written = slow
    written.clear()
    recorder = Recorder(write, 0.05)
    longest, began = 0.0, time.monotonic()
    while len(written) < 4 and time.monotonic() < began + 60:
        started = time.perf_counter()
        recorder.note(FOLDER, "blue", 12.0, failed=False)
        longest = max(longest, time.perf_counter() - started)
        time.sleep(0.0005)
    assert 4 <= len(written) <= 1 + (time.monotonic() - began) / 0.05
    assert len(set(written)) == 1
    held(longest, 0.045)


def test_what_came_last_is_written_too() -> None:
    w = World(baking(), every=0.02)
    w.ask()
    ends = time.monotonic() + 60
    while not list(w.store.list(FOLDER)) and time.monotonic() < ends:
        time.sleep(0.005)
    [blob] = w.store.list(FOLDER)
    assert json.loads(w.store.read(blob.name).data)["slots"]["blue"]["requests"] == 1


def test_a_write_that_fails_loses_no_count_and_no_request() -> None:
    w = World(baking())

    def refuse(name: str, data: bytes) -> None:
        raise Upstream("storage is away")

    w.recorder._write = refuse
    w.ask()
    w.recorder.flush()
    w.recorder._write = w.store.write
    w.ask()
    assert w.seen() == {"blue": (2, 0)}


def test_folders_of_rollouts_that_are_over_are_forgotten() -> None:
    w = World(baking(), every=60)
    for number in range(2 * MOST_FOLDERS):
        w.recorder.note(f"health/cards/run-{number}/", "blue", 1, failed=False)
    assert len(w.recorder._folders) == MOST_FOLDERS
    w.recorder.flush()
    assert len(list(w.store.list("health/"))) == MOST_FOLDERS


@pytest.mark.parametrize("ms", [0.0, 0.5, 12, 1e9])
def test_any_latency_has_a_class(ms: float) -> None:
    w = World(baking())
    w.recorder.note(FOLDER, "blue", ms, failed=False)
    assert w.seen() == {"blue": (1, 0)}


def test_a_known_client_stays_with_one_slot_and_shares_only_grow() -> None:
    clients = [f"till-{number}" for number in range(2000)]

    def to_challenger(share: int) -> set[str]:
        w = World(baking(share=share))
        return {c for c in clients if w.as_client(c)[0].slot == "green"}

    few, half = to_challenger(10), to_challenger(50)
    assert to_challenger(10) == few
    assert few < half
    assert 140 < len(few) < 260
    assert 900 < len(half) < 1100


def test_another_rollout_tries_other_clients() -> None:
    clients = [f"till-{number}" for number in range(500)]
    states = [baking(share=20), baking(share=20)]
    assert states[1].rollout is not None
    states[1].rollout.run = 3
    first, second = ({c for c in clients if w.as_client(c)[0].slot == "green"} for w in map(World, states))
    assert first != second


@pytest.mark.parametrize(
    ("slot", "version", "answered"),
    [("green", "", "by 2"), ("", "2", "by 2"), ("blue", "1", "by 1"), ("", "1", "by 1")],
)
def test_a_slot_or_version_that_is_named_answers_and_is_not_counted(slot: str, version: str, answered: str) -> None:
    w = World(baking())
    assert w.ask_one(slot, version)[1] == answered
    assert w.seen() == {}


@pytest.mark.parametrize(("slot", "version"), [("blue", "2"), ("", "7"), ("green", "1")])
def test_what_does_not_answer_now_is_said(slot: str, version: str) -> None:
    w = World(baking())
    with pytest.raises(NotFound, match="version 1 in blue, version 2 in green"):
        w.ask_one(slot, version)


def test_only_slots_that_exist_can_be_named() -> None:
    w = World(baking())
    with pytest.raises(BadRequest):
        w.ask_one("red", "")


@pytest.mark.parametrize("step", ["endpoint", "deploy", "smoke", "retire", "abandon", "done"])
def test_a_slot_that_has_not_answered_yet_or_is_being_deleted_is_not_asked(step: str) -> None:
    state = baking()
    assert state.rollout is not None
    state.rollout.step = step  # type: ignore[assignment]
    with pytest.raises(NotFound):
        World(state).ask_one("green", "")


def test_a_named_slot_that_fails_is_not_covered_by_another() -> None:
    w = World(baking())
    w.fails = {"green": Upstream("500")}
    with pytest.raises(Upstream):
        w.ask_one("green", "")
    assert w.asked == ["green"]


def mirrored() -> World:
    state = baking(share=0)
    assert state.rollout is not None
    state.rollout.mirror = 20
    return World(state)


async def settled(w: World) -> None:
    await asyncio.gather(*w.routes._mirror._under_way)


@pytest.mark.parametrize(("dice", "slots"), [(0.1, {"blue", "green"}), (0.3, {"blue"})])
def test_a_copied_request_is_answered_by_the_champion_alone(dice: float, slots: set[str]) -> None:
    w = mirrored()
    w.dice = dice

    async def scene() -> None:
        model, answer = await w.routes.ask("cards", w.score)
        assert (model.slot, answer) == ("blue", "by 1")
        await settled(w)

    asyncio.run(scene())
    assert set(w.seen()) == slots
    assert set(w.asked) == slots


def test_a_copy_has_as_long_as_the_request_had() -> None:
    """What the champion took of it is not the challenger's loss: what is late counts against it."""
    w = mirrored()
    w.dice = 0.0

    async def scene() -> float:
        async def score(model: Any, ends: float) -> str:
            if model.slot == "blue":
                await asyncio.sleep(0.2)
            return await w.score(model, ends)

        began = time.monotonic()
        await w.routes.ask("cards", score, ends=began + 30)
        await settled(w)
        return began

    began = asyncio.run(scene())
    assert w.ends["blue"] == began + 30
    assert w.ends["green"] >= began + 30.2
    assert w.seen()["green"] == (1, 0)


def test_a_challenger_that_fails_or_hangs_on_copies_disturbs_nobody() -> None:
    w = mirrored()
    w.dice = 0.0

    async def scene() -> None:
        hold = asyncio.Event()

        async def score(model: Any, ends: float) -> str:
            if model.slot == "green":
                await hold.wait()
                raise Upstream("502")
            return await w.score(model, ends)

        for _ in range(30):
            assert (await w.routes.ask("cards", score))[0].slot == "blue"
        hold.set()
        await settled(w)

    asyncio.run(scene())
    assert w.seen()["green"] == (8, 8)  # what would have waited long was left out


@pytest.mark.parametrize(("dice", "last"), [(0.5, "blue"), (0.0, "green"), (0.0, "blue")])
def test_a_request_whose_caller_went_away_is_not_counted(
    dice: float, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "PATIENCE_SECONDS", 0.05 if last == "blue" else 60)
    w = World(baking())
    w.dice = dice

    async def scene() -> None:
        asked, left = asyncio.Event(), list[str]()

        async def score(model: Any, ends: float) -> str:
            w.asked.append(model.slot)
            if model.slot == last:
                asked.set()
            try:
                await asyncio.sleep(60)
            finally:
                left.append(model.slot)
            return "never"

        gone = asyncio.create_task(w.routes.ask("cards", score))
        await asked.wait()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        await asyncio.sleep(0)
        assert sorted(left) == sorted(w.asked)

    asyncio.run(scene())
    assert w.seen() == {}


@pytest.mark.parametrize(
    ("error", "missed"),
    [(NotFound("gone"), True), (UpstreamUnreached("no such host"), True), (Upstream("500"), False), (None, False)],
)
def test_nobody_in_the_champion_s_slot_is_told_and_nothing_else(error: Exception | None, missed: bool) -> None:
    world = World(loop_state())
    if error is not None:
        world.fails = {"blue": error}
        with pytest.raises(Upstream):
            world.ask()
    else:
        world.ask()
    assert world.missed == (["cards"] if missed else [])


def test_nobody_in_a_challenger_s_slot_is_nobody_s_loss() -> None:
    world = World(baking(share=100))
    world.fails = {"green": UpstreamUnreached("no such host")}
    assert world.ask() == ("blue", "by 1")
    assert world.missed == []
