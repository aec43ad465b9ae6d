from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from services.cloud.fakes import FakeCloud
from services.errors import BadRequest, NotFound
from services.names import state_blob
from services.state import CatalogueState, Event, LoopState, Problem, Rollout
from services.state_store import StateStore
from services.status.documents import NEWEST_EVENTS, Status
from services.status.progress import doing, progress
from services.timeline import Timeline
from tests.support.predictions import champion, loop_state
from tests.support.stages import LOOP, NOW, run, state, version


class World:
    def __init__(self, *states: LoopState) -> None:
        self.fakes = FakeCloud()
        for one in states:
            self.fakes.system.write(state_blob(one.loop), one.model_dump_json().encode())
        self.timeline = Timeline(self.fakes.system)
        self.status = Status(StateStore(self.fakes.system, self.fakes.clock), self.timeline, self.fakes.clock)

    def tell(self, loop: str, count: int) -> None:
        events = [
            Event(id=f"{loop}-{n}", source="/s", type="visionloop.x", subject=loop, time=NOW + timedelta(hours=n), data={"reason": str(n)})
            for n in range(1, count + 1)
        ]  # fmt: skip
        self.timeline.append(events)

    def ids(self, **query: str) -> tuple[list[str], str | None]:
        found = self.status.timeline("cards", query)
        return [e["id"] for e in found["events"]], found["next"]


def test_all_loops_in_a_line_each() -> None:
    found = World(loop_state(), state()).status.loops()["loops"]
    assert [line["loop"] for line in found] == ["cards", LOOP]
    cards = found[0]
    assert (cards["images"], cards["labelled"], cards["champion_model"], cards["champion_score"]) == (
        20,
        12,
        "vl-cards:1",
        0.71,
    )
    assert cards["addresses"]["predict"] == "/api/loops/cards/predict"
    assert found[1]["champion_model"] is None
    json.dumps(found)


def test_what_passes_with_time_goes_by_the_clock_that_is_given() -> None:
    world = World(loop_state())
    world.fakes.clock.now = loop_state().champion.promoted + timedelta(hours=30)  # type: ignore[union-attr]
    assert world.status.loop("cards")["serving"]["idle_hours"] == 30
    world.fakes.clock.advance(3600)
    assert world.status.loop("cards")["serving"]["idle_hours"] == 31


def test_no_loops_are_an_empty_list() -> None:
    assert World().status.loops() == {"loops": []}


def test_a_loop_that_goes_while_we_look_is_left_out() -> None:
    world = World(loop_state(), state())

    def hook(call: str) -> None:
        if call == "after:blob.list":
            world.fakes.system.blobs.pop(state_blob("cards"), None)

    world.fakes.on_call = hook
    assert [line["loop"] for line in world.status.loops()["loops"]] == [LOOP]


def test_a_loop_has_everything_that_is_known_of_it() -> None:
    one = loop_state()
    one.datasets, one.runs = [version()], [run()]
    bad = Problem(code="config-invalid", file="cards/loop.yaml", place="line 3", expected="a number", found="'x'")
    one.config.problems = [bad]
    one.catalogue.problems = [Problem(code="box-outside", file="cards/labels/1.xml")]
    world = World(one)
    world.tell("cards", 30)
    found = world.status.loop("cards")
    assert [p["code"] for p in found["problems"]] == ["config-invalid", "box-outside"]
    assert [e["id"] for e in found["timeline"]] == [f"cards-{n}" for n in range(30, 30 - NEWEST_EVENTS, -1)]
    assert found["catalogue"]["images_per_class"] == {"ace": 10, "jack": 2}
    assert {
        "task",
        "config",
        "datasets",
        "runs",
        "champion",
        "rollout",
        "reasons",
        "next_wake",
        "progress",
        "doing",
    } <= found.keys()
    assert "outbox" not in found
    json.dumps(found)


@pytest.mark.parametrize("name", ["fruit", "nobody"])
def test_an_unknown_loop_is_not_found(name: str) -> None:
    for look in (World().status.loop, lambda n: World().status.timeline(n, {})):
        with pytest.raises(NotFound, match=f"no loop named {name}"):
            look(name)


@pytest.mark.parametrize("name", ["", "..", "A", "cards/../x", "x" * 200])
def test_what_is_no_name_is_refused(name: str) -> None:
    for look in (World().status.loop, lambda n: World().status.timeline(n, {})):
        with pytest.raises(BadRequest):
            look(name)


def test_the_timeline_is_paged_newest_first() -> None:
    world = World(loop_state())
    world.tell("cards", 5)
    assert world.ids(limit="2") == (["cards-5", "cards-4"], "cards-4")
    assert world.ids(limit="2", before="cards-4") == (["cards-3", "cards-2"], "cards-2")
    assert world.ids(limit="2", before="cards-2") == (["cards-1"], None)
    assert world.ids()[0] == [f"cards-{n}" for n in (5, 4, 3, 2, 1)]


@pytest.mark.parametrize(
    "query",
    [{"limit": t} for t in ("0", "-1", "501", "x", "1.5", "9" * 5000, "٣")]
    + [{"before": t} for t in ("x", "fruit-3", "cards-", "cards-x", "cards-03", "cards-" + "9" * 5000)],
)  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        World(loop_state()).status.timeline("cards", query)


class TestProgress:
    """By the same numbers as the training policy."""

    @staticmethod
    def of(loop: LoopState) -> tuple[str, int, int]:
        found = progress(loop)
        return found["toward"], found["have"], found["of"]

    def test_before_the_first_run_labelled_images_count_and_every_class_needs_some(self) -> None:
        loop = state()
        loop.catalogue = CatalogueState(labelled=12, classes=["ace", "jack"], images_per_class={"ace": 10})
        assert self.of(loop) == ("the first training run", 12, 20)
        assert progress(loop)["classes"] == {"jack": 0}
        loop.catalogue = CatalogueState(labelled=90, classes=["ace"], images_per_class={"ace": 90})
        assert self.of(loop) == ("the first training run", 20, 20)
        assert progress(loop)["classes"] == {}

    def test_classes_of_the_config_that_nobody_labelled_yet_are_missing_too(self) -> None:
        assert progress(state(config={"classes": ["ace", "queen"]}))["classes"] == {"ace": 0, "queen": 0}

    def test_after_it_new_images_count_toward_the_smaller_threshold(self) -> None:
        datasets = [version(1), version(2, new_since_trained=6)]
        assert self.of(state(datasets=datasets, runs=[run()])) == ("the next training run", 6, 10)
        config: dict[str, Any] = {"training": {"retrain_threshold": {"new_images": 8, "growth": None}}}
        assert self.of(state(config=config, datasets=datasets, runs=[run()])) == ("the next training run", 6, 8)

    def test_what_the_last_run_has_learnt_is_not_new(self) -> None:
        assert self.of(state(datasets=[version()], runs=[run()])) == ("the next training run", 0, 10)

    def test_a_failed_first_run_still_counts_toward_the_first(self) -> None:
        assert self.of(state(datasets=[version()], runs=[run(status="failed")]))[0] == "the first training run"


class TestDoing:
    """One sentence, the nearest thing to the goal first."""

    def test_waiting_says_for_what(self) -> None:
        loop = state()
        loop.reasons = {"dataset": "Nothing changed.", "training": "12 of 20 labelled images"}
        assert doing(loop) == "Waiting. Nothing changed. 12 of 20 labelled images."
        assert doing(state()) == "Waiting."

    def test_registering(self) -> None:
        assert doing(state(datasets=[version(status="registering")])) == "Registering dataset version 1"

    def test_training(self) -> None:
        active = run(status="submitted", phase="Running", finished=None)
        assert doing(state(datasets=[version()], runs=[active])) == "Training run 1 on dataset version 1: running"

    def test_rolling_out(self) -> None:
        loop = state(datasets=[version()], runs=[run()])
        live = champion()
        loop.rollout = Rollout(
            run=1,
            model=live.model,
            dataset_version=1,
            endpoint="e",
            slot="green",
            step="smoke",
            started=NOW,
            step_started=NOW,
        )
        assert doing(loop) == "Rolling out run 1 in slot green: it is asked for the first time"
        loop.rollout.outcome = "promoted"
        assert doing(loop) == "Waiting."


def test_an_explanation_is_json_with_sentences() -> None:
    short = version(train_images=30, validation_images=7, images_per_class={"bolt": 33, "nut": 4})
    world = World(state(datasets=[short]))
    found = world.status.explain(LOOP, NOW)
    json.dumps(found)
    assert [p["part"] for p in found["parts"]] == ["registration", "training", "promotion", "rollout"]
    assert found["parts"][1]["missing"][0]["reason"] == "class `nut` has 4 of 5"
    assert "  - class `nut` has 4 of 5" in found["sentences"]


def test_an_explanation_of_settings_that_do_not_fit_the_task_names_the_place() -> None:
    world = World(state(config={"training": {"parameters": {"weighted_loss": 1}}}, datasets=[version()]))
    training = world.status.explain(LOOP, NOW)["parts"][1]
    assert [m["rule"] for m in training["missing"]] == ["config"]
    assert training["missing"][0]["reason"].startswith("loop.yaml, training.parameters.weighted_loss: expected")


def test_a_pause_is_said_once() -> None:
    made = state()
    made.reasons = {"dataset": "The loop is paused by Ada", "training": "The loop is paused by Ada"}
    assert doing(made) == "Waiting. The loop is paused by Ada."
