"""Training runs to look at: kept as they go on, ranked, and drawn."""

from __future__ import annotations

from typing import Any

import pytest
from defusedxml import ElementTree

from services.cloud.ports.training import Trial
from services.context import LoopContext
from services.errors import BadRequest, NotFound, UpstreamBusy
from services.status.charts import line_chart
from services.status.runs import Runs
from services.training.trials import keep, read
from tests.support.stages import LOOP, World, run, state, version

SVG = "{http://www.w3.org/2000/svg}"


def trial(number: int, status: str = "completed", scores: tuple[float, ...] = (0.1, 0.3)) -> Trial:
    curve = list(enumerate(scores, 1))
    return Trial(f"job_HD_{number}", status, {"learning_rate": "0.01"}, {"map50": curve, "train_loss": curve})


@pytest.fixture
def world() -> World:
    runs = [
        run(1, job="job", best_child="job_HD_1", metrics={"map50": 0.3}),
        run(2, metrics={"map50": 0.5}),
        run(3, status="failed"),
    ]
    return World([], state(datasets=[version()], runs=runs))


@pytest.fixture
def context(world: World) -> LoopContext:
    return LoopContext(world.cloud, world.state, lambda _: None, lambda: 100.0)


@pytest.fixture
def runs(world: World) -> Runs:
    return Runs(world.states, world.fake.system)


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_trials_are_kept_as_they_go_on_and_ended_ones_are_not_asked_for_again(
    world: World, context: LoopContext
) -> None:
    asked: list[list[str]] = []
    curves = world.fake.workspace.curves

    def trials(job: str, known: Any = ()) -> list[Trial]:
        asked.append(sorted(known))
        return [t for t in curves[job] if t.name not in known]

    world.fake.workspace.trials = trials  # type: ignore[method-assign]
    curves["job"] = [trial(0), trial(1, "running", (0.2,))]
    keep(context, context.state.runs[0])
    curves["job"] = [trial(0, scores=(9.0,)), trial(1, "completed", (0.2, 0.4)), trial(2, "running", ())]
    keep(context, context.state.runs[0])
    found = read(world.fake.system, LOOP, 1)
    assert found is not None
    assert [(t.name, t.status, t.metrics["map50"]) for t in found.trials] == [
        ("job_HD_0", "completed", [(1, 0.1), (2, 0.3)]),
        ("job_HD_1", "completed", [(1, 0.2), (2, 0.4)]),
        ("job_HD_2", "running", []),
    ]
    assert asked == [[], ["job_HD_0"]]


def test_that_they_cannot_be_read_holds_nothing_up(world: World, context: LoopContext) -> None:
    def busy(*_: Any) -> list[Trial]:
        raise UpstreamBusy("Azure ML is busy")

    world.fake.workspace.trials = busy  # type: ignore[method-assign,assignment]
    keep(context, context.state.runs[0])
    assert read(world.fake.system, LOOP, 1) is None


def test_a_run_shows_its_trials_the_best_first(world: World, context: LoopContext, runs: Runs) -> None:
    world.fake.workspace.curves["job"] = [trial(0), trial(1, scores=(0.2, 0.8)), trial(2, "failed", ())]
    keep(context, context.state.runs[0])
    shown = runs.run(LOOP, "1")
    assert shown["metric"] == "map50"
    assert [(t["name"], t["value"], t["best"]) for t in shown["trials"]] == [
        ("job_HD_1", 0.8, True),
        ("job_HD_0", 0.3, False),
        ("job_HD_2", None, False),
    ]
    assert shown["plots"] == {m: f"/api/loops/{LOOP}/runs/1/plot?metric={m}" for m in ("map50", "train_loss")}


def test_a_run_without_trials_is_shown_as_far_as_it_is_known(runs: Runs) -> None:
    assert (runs.run(LOOP, "2")["trials"], runs.run(LOOP, "2")["number"]) == ([], 2)
    assert "Nothing was measured yet." in texts(runs.plot(LOOP, "2", None))


def test_runs_are_ranked_and_those_without_a_value_come_last(runs: Runs) -> None:
    found = runs.leaderboard(LOOP, None)
    assert (found["metric"], [r["number"] for r in found["runs"]]) == ("map50", [2, 1, 3])
    for ask in (runs.leaderboard, runs.comparison):
        with pytest.raises(BadRequest, match="metric must be one of map50"):
            ask(LOOP, "recall")


def test_a_picture_has_a_line_a_trial(world: World, context: LoopContext, runs: Runs) -> None:
    world.fake.workspace.curves["job"] = [trial(0), trial(1, scores=(0.2, 0.8))]
    keep(context, context.state.runs[0])
    drawn = runs.plot(LOOP, "1", "map50")
    lines = list(ElementTree.fromstring(drawn).iter(f"{SVG}polyline"))
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 2]
    assert {"Run 1: map50", "trial 0", "trial 1", "epoch"} <= set(texts(drawn))
    with pytest.raises(BadRequest, match="one of map50, train_loss"):
        runs.plot(LOOP, "1", "<script>")


def test_runs_are_compared_in_a_picture(runs: Runs) -> None:
    drawn = runs.comparison(LOOP, None)
    assert {f"{LOOP}: map50 by run", "best trial", "run"} <= set(texts(drawn))
    assert len(list(ElementTree.fromstring(drawn).iter(f"{SVG}circle"))) == 2


@pytest.mark.parametrize("number", ["9", "one", "1.0", ""])
def test_no_such_run(runs: Runs, number: str) -> None:
    with pytest.raises(NotFound, match="no training run"):
        runs.run(LOOP, number)


def test_higher_is_drawn_above_and_later_to_the_right() -> None:
    drawn = ElementTree.fromstring(line_chart("a <b>", {"one & two": [(1, 0.0), (5, 1.0)]}))
    [line] = drawn.iter(f"{SVG}polyline")
    (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in line.attrib["points"].split())
    assert x1 < x2
    assert y2 < y1
    assert "one & two" in [e.text for e in drawn.iter(f"{SVG}text")]


@pytest.mark.parametrize("points", [[(3, 0.5)], [(1, 0.5), (2, 0.5)]])
def test_a_single_value_is_drawn_too(points: list[tuple[int, float]]) -> None:
    [line] = ElementTree.fromstring(line_chart("t", {"a": points})).iter(f"{SVG}polyline")
    assert len(line.attrib["points"].split()) == len(points)
