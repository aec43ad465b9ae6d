from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.decisions.budget import (
    MACHINES,
    Estimate,
    Machine,
    amount,
    estimate,
    gpu_hours,
    machine_of,
    machines,
    money,
    price_per_gpu_hour,
    read_prices,
    settle,
)
from services.state import TrainingRun
from services.training_config import Training
from tests.support.stages import NOW, run


def took(hours: float, number: int = 1, **changes: Any) -> TrainingRun:
    start = NOW - timedelta(days=2)
    return run(number, submitted=start, started=start, finished=start + timedelta(hours=hours), **changes)


T4 = machine_of("Standard_NC4as_T4_v3")


def test_without_a_run_the_time_out_is_the_estimate() -> None:
    found = estimate([], Training(), T4)
    assert found.gpu_hours == 4 * 2
    assert found.cost == pytest.approx(8 * 0.526)
    assert found.basis == "4.00 h, the job's time-out, times 2 machines of 1 GPU"


def test_the_last_three_completed_runs_say_how_long_it_takes() -> None:
    runs = [took(9, 1), took(1, 2), took(2, 3), took(30, 4, status="failed"), took(3, 5)]
    found = estimate(runs, Training(), T4)
    assert found.gpu_hours == pytest.approx(2 * 2)
    assert "a guess by the last 3 completed runs, with other settings or another number of images" in found.basis


ALIKE: dict[str, Any] = {"pace": "same", "images": 100}


@pytest.mark.parametrize(
    ("runs", "hours", "basis"),
    [
        ([took(1, **ALIKE), took(9, 2, pace="other", images=100)], 1, "median of the last 1 completed run with these"),
        ([took(n, n, **ALIKE) for n in (9, 1, 3, 2)], 2, "median of the last 3 completed runs with these settings, "),
        ([took(1, pace="same", images=50)], 2, "the last 1 completed run with these settings, scaled to 100 images"),
        ([took(2, pace="same", images=200)], 1, "the last 1 completed run with these settings, scaled to 100 images"),
        ([took(1, pace="same", images=49)], 1, "a guess by the last 1 completed run, with other settings or another"),
        ([took(3, pace="same", images=201)], 3, "a guess by the last 1 completed run, with other settings or another"),
        ([took(1, **ALIKE), took(3, 2, status="failed", **ALIKE)], 1, "the last 1 completed run with these settings"),
        ([took(3, pace="other", images=100)], 3, "a guess by the last 1 completed run"),
        ([took(3)], 3, "a guess by the last 1 completed run"),  # of a document that does not know its pace
        ([took(9, **ALIKE)], 4, "the last 1 completed run with these settings"),  # the job's time-out
        ([], 4, "the job's time-out"),
    ],
)
def test_runs_that_are_alike_are_the_measure_scaled_to_the_images(
    runs: list[TrainingRun], hours: float, basis: str
) -> None:
    found = estimate(runs, Training(), T4, "same", 100)
    assert found.gpu_hours == pytest.approx(hours * 2)
    assert basis in found.basis


def test_a_loop_without_a_pace_has_no_runs_that_are_alike() -> None:
    assert "a guess by" in estimate([took(1, pace="", images=100)], Training(), T4, "", 100).basis


def test_no_run_takes_longer_than_its_time_out() -> None:
    short = Training.model_validate({"limits": {"timeout_minutes": 30}})
    assert estimate([took(9)], short, T4).gpu_hours == pytest.approx(0.5 * 2)


def test_all_gpus_of_a_machine_count_and_share_its_price() -> None:
    four = machine_of("STANDARD_NC24s_v3")
    assert four == Machine(4, 12.24)
    found = estimate([took(1)], Training(), four)
    assert found.gpu_hours == 2 * 4
    assert found.cost == pytest.approx(2 * 12.24)


def test_a_size_that_is_not_listed_counts_one_gpu_without_a_price() -> None:
    found = estimate([took(1)], Training(), machine_of("Standard_X1"))
    assert (found.gpu_hours, found.cost) == (2, None)
    assert amount(found.cost, "USD") == "price unknown"


def test_loop_yaml_s_price_wins_over_the_list() -> None:
    own = Training.model_validate({"budget": {"price_per_gpu_hour": 0.25}})
    assert price_per_gpu_hour(own, T4) == 0.25
    assert price_per_gpu_hour(Training(), Machine(2, 6.0)) == 3.0


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("Standard_NC4as_T4_v3=0.40", "standard_nc4as_t4_v3", Machine(1, 0.40)),
        (" Standard_NC24s_v3 = 11 , ", "Standard_NC24s_v3", Machine(4, 11)),
        ("My_Size=2.5/8", "my_size", Machine(8, 2.5)),
        ("", "Standard_NC4as_T4_v3", MACHINES["standard_nc4as_t4_v3"]),
    ],
)
def test_a_setting_prices_machines(text: str, size: str, expected: Machine) -> None:
    assert machine_of(size, text) == expected


def test_only_the_beginning_of_an_entry_that_cannot_be_read_is_shown() -> None:
    with pytest.raises(ValueError, match="found") as error:
        read_prices("T4=1, " + "x" * 70)
    assert str(error.value) == f"expected SIZE=PRICE or SIZE=PRICE/GPUS, found '{'x' * 60}'"


def test_a_size_that_is_not_listed_may_be_priced_without_its_gpus() -> None:
    assert read_prices("My_Size=2.5") == {"my_size": Machine(1, 2.5)}


@pytest.mark.parametrize(("value", "said"), [(None, "price unknown"), (0.0, "0.00 EUR"), (2.345, "2.35 EUR")])
def test_money_for_people(value: float | None, said: str) -> None:
    assert amount(value, "EUR") == said


@pytest.mark.parametrize(
    ("limits", "nodes", "kind", "expected"),
    [
        ({"max_concurrent_trials": 2, "max_trials": 5}, 9, "automl", 2),
        ({"max_concurrent_trials": 9, "max_trials": 5}, 9, "automl", 5),
        ({"max_concurrent_trials": 9, "max_trials": 9}, 4, "automl", 4),
        ({"max_concurrent_trials": 9, "max_trials": 9}, 4, "command", 1),
    ],
)
def test_machines_at_once(limits: dict[str, int], nodes: int, kind: str, expected: int) -> None:
    script = {"command": {"code": "code", "run": "python train.py"}} if kind == "command" else {}
    training = Training.model_validate({"limits": limits, "compute": {"max_nodes": nodes}})
    assert machines(training.model_copy(update={"kind": kind, **script})) == expected


@pytest.mark.parametrize("text", ["T4", "T4=", "T4=free", "T4=1/0", "T4=-1", "T4=1;T5=2"])
def test_a_price_list_that_cannot_be_read_is_refused_with_its_entry(text: str) -> None:
    with pytest.raises(ValueError, match="expected SIZE=PRICE"):
        read_prices(text)


def test_hours_and_money_count_only_what_lies_in_the_last_thirty_days() -> None:
    edge = NOW - timedelta(days=30)
    half_in = run(1, started=edge - timedelta(hours=3), finished=edge + timedelta(hours=1), machines=2, gpus=4)
    half_in.price_per_gpu_hour = 0.5
    assert gpu_hours([half_in, took(5)], NOW) == pytest.approx(1 * 2 * 4 + 5)
    assert money([half_in, took(5)], NOW) == pytest.approx(8 * 0.5)


def test_a_run_under_way_counts_up_to_now() -> None:
    under_way = run(status="submitted", started=NOW - timedelta(hours=2), finished=None)
    assert gpu_hours([under_way], NOW) == 2
    assert gpu_hours([run(status="intended", started=None, submitted=None, finished=None)], NOW) == 0


def test_a_run_that_ended_is_settled() -> None:
    ended = took(1.5, machines=2, gpus=4, price_per_gpu_hour=2.0)
    settle(ended)
    assert (ended.gpu_hours, ended.cost) == (pytest.approx(12), pytest.approx(24))
    never = run(submitted=None, started=None)
    settle(never)
    assert (never.gpu_hours, never.cost) == (0, None)


def test_a_run_that_was_cancelled_in_the_queue_cost_nothing() -> None:
    queued = run(status="canceled", started=None, submitted=NOW - timedelta(hours=72), finished=NOW)
    settle(queued)
    assert (queued.gpu_hours, gpu_hours([queued], NOW)) == (0, 0)
    queued.started = NOW - timedelta(hours=1)
    assert gpu_hours([queued], NOW) == 1


def test_a_clock_that_went_backwards_costs_nothing() -> None:
    backwards = run(started=NOW, finished=NOW - timedelta(hours=1))
    settle(backwards)
    assert backwards.gpu_hours == 0


@pytest.mark.parametrize(
    ("times", "hours"),
    [
        ({"submitted": -3, "started": -2, "finished": -1}, 1),  # waiting for a machine is not paid
        ({"submitted": -3, "started": None, "finished": -1}, 2),
        ({"submitted": None, "started": None, "finished": -1}, 0),
        ({"submitted": -3, "started": -2, "finished": None}, 2),
        ({"submitted": -3, "started": -2, "finished": -2}, 0),
        ({"submitted": -722, "started": -721, "finished": -719}, 1),  # the month began 720 hours ago
        ({"submitted": -722, "started": -721, "finished": -720}, 0),
        ({"submitted": -722, "started": None, "finished": None}, 720),
        ({"submitted": 1, "started": 1, "finished": None}, 0),  # a clock that went backwards
    ],
)
def test_the_hours_of_a_run_that_are_counted(times: dict[str, float | None], hours: float) -> None:
    counted = run(1, **{n: None if h is None else NOW + timedelta(hours=h) for n, h in times.items()})
    assert gpu_hours([counted], NOW) == pytest.approx(hours)
    assert money([counted.model_copy(update={"price_per_gpu_hour": 3.0})], NOW) == pytest.approx(3 * hours)
    assert money([counted], NOW) == 0


BASIS = "1.38 h, median of the last 2 completed runs with these settings, times 2 machines of 4 GPU"


def test_the_estimate_says_what_it_is_made_of() -> None:
    found = estimate([took(1.25, 1, **ALIKE), took(1.5, 2, **ALIKE)], Training(), Machine(4, 8.0), "same", 100)
    assert found == Estimate(11.0, 22.0, BASIS)


def test_a_run_of_no_length_is_no_measure() -> None:
    assert estimate([took(0)], Training(), T4).basis == "4.00 h, the job's time-out, times 2 machines of 1 GPU"
