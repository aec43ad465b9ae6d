"""What training may cost: runs a day, hours and money a month, each at its border, with the sum that is shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.decisions.budget import Machine
from services.decisions.train import decide
from services.decisions.train_facts import Facts
from services.state import LoopState
from services.training_config import Training
from tests.support.stages import NOW, run, state, version
from tests.unit.decisions.test_train import facts, policy

DAY = timedelta(days=1)


def test_the_daily_cap_opens_when_the_oldest_run_is_a_day_old() -> None:
    begun = [run(n, intended=NOW - timedelta(hours=24 - n), status="failed") for n in (1, 2, 3)]
    made = state(config=policy(max_jobs_per_day=2), datasets=[version(9, new_since_trained=99)], runs=begun)
    decision = decide(facts(made))
    assert decision.reason.startswith("3 of 2 training runs were started in the last 24 hours; the next may start at ")
    assert decision.again_in == 2 * 3600
    assert not decide(facts(made, later=timedelta(hours=1, minutes=59))).act
    assert decide(facts(made, later=timedelta(hours=2))).act


def test_a_cap_of_none_holds_for_good() -> None:
    decision = decide(facts(state(config=policy(max_jobs_per_day=0), datasets=[version()])))
    assert decision.facts["rule"] == "daily_cap"
    assert decision.again_in is None


def test_a_run_that_never_became_a_job_is_no_job_of_the_day() -> None:
    given_up = run(status="failed", submitted=None, started=None, intended=NOW - timedelta(hours=1))
    made = state(config=policy(max_jobs_per_day=1), datasets=[version()], runs=[given_up])
    assert decide(facts(made)).act


def test_the_budget_counts_the_run_that_would_start_and_shows_the_sum() -> None:
    inside = run(2, started=NOW - timedelta(days=9), finished=NOW - timedelta(days=9) + timedelta(hours=3))
    made = state(config=policy(budget={"gpu_hours_per_month": 8}), datasets=[version(3)], runs=[inside])
    decision = decide(facts(made))
    assert decision.reason == (
        "3.0 GPU hours of the last 30 days and 6.0 for this run are 9.0 of 8 "
        "(estimate: 3.00 h, a guess by the last 1 completed run, with other settings or another number of images, "
        "times 2 machines of 1 GPU)"
    )
    assert decision.facts["rule"] == "budget"
    enough = state(config=policy(budget={"gpu_hours_per_month": 9}), datasets=[version(3)], runs=[inside])
    assert decide(facts(enough)).act


def test_the_budget_opens_when_a_run_is_older_than_thirty_days() -> None:
    leaving = run(finished=NOW - timedelta(days=30) + timedelta(hours=1))
    leaving.started = leaving.finished - timedelta(hours=2) if leaving.finished else None
    limits = {"timeout_minutes": 60, "max_concurrent_trials": 1}
    made = state(config=policy(budget={"gpu_hours_per_month": 1}, limits=limits), datasets=[version(3)], runs=[leaving])
    decision = decide(facts(made))
    assert decision.again_in == 3600
    assert decide(facts(made, later=timedelta(hours=1))).act


def test_money_is_a_budget_of_its_own_where_the_price_is_known() -> None:
    limits = {"money_per_month": 10, "price_per_gpu_hour": 2, "currency": "EUR"}
    decision = decide(facts(state(config=policy(budget=limits), datasets=[version()])))
    assert decision.reason.startswith("0.0 EUR of the last 30 days and 16.0 for this run are 16.0 of 10 ")


def test_a_cap_on_money_holds_where_the_price_is_not_known() -> None:
    """Left out of the sum, the run would go beyond a cap that somebody set, and nobody be told."""
    made = state(config=policy(budget={"money_per_month": 10}, compute={"size": "My_Size"}), datasets=[version()])
    found = decide(facts(made))
    assert (found.act, found.again_in, found.facts["rule"]) == (False, None, "budget")
    assert found.reason.startswith("The price of My_Size is not known, so training.budget.money_per_month cannot be")
    made.config.config = made.config.config.model_copy(update={"training": Training()})
    assert decide(facts(made)).act


def begun(*hours_ago: float, **changes: Any) -> list[Any]:
    return [
        run(n, intended=NOW - timedelta(hours=ago), status="failed", **changes) for n, ago in enumerate(hours_ago, 1)
    ]


@pytest.mark.parametrize(
    ("runs", "cap", "reason", "again"),
    [
        (begun(24), 1, None, None),  # a day ago to the second is not of this day
        (begun(23.99), 1, "1 of 1 training runs were started in the last 24 hours", 36),
        (begun(3), 2, None, None),
        (begun(20, 3), 2, "2 of 2 training runs were started in the last 24 hours", 4 * 3600),
        (begun(3, 20), 2, "2 of 2 training runs were started in the last 24 hours", 4 * 3600),
        (begun(23, 22, 21), 1, "3 of 1 training runs were started in the last 24 hours", 3 * 3600),
        (begun(1), 1, "1 of 1 training runs were started in the last 24 hours", 6 * 3600),  # looked at again before
        (begun(1, submitted=None), 1, None, None),
        ([], 0, "0 of 0 training runs were started in the last 24 hours: max_jobs_per_day is 0", None),
    ],
)
def test_runs_of_the_last_day(runs: list[Any], cap: int, reason: str | None, again: float | None) -> None:
    found = decide(facts(state(config=policy(max_jobs_per_day=cap), datasets=[version(9)], runs=runs)))
    assert found.act is (reason is None)
    if reason is not None:
        assert found.facts == {"rule": "daily_cap"}
        assert found.reason.partition("; the next may start at ")[0] == reason
        assert found.again_in == (pytest.approx(again) if again else None)


def spent(budget: dict[str, Any], *ended: timedelta, **changes: Any) -> LoopState:
    """A loop whose runs took two hours each and ended so long ago; the next takes as long, on one machine."""
    runs = [run(n, started=NOW - e - timedelta(hours=2), finished=NOW - e, **changes) for n, e in enumerate(ended, 1)]
    config = policy(budget=budget, limits={"max_concurrent_trials": 1})
    return state(config=config, datasets=[version(9)], runs=runs)


BASIS = (
    "(estimate: 2.00 h, a guess by the last 2 completed runs, with other settings or another number of images, "
    "times 1 machine of 1 GPU)"
)


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ({"gpu_hours_per_month": 6}, None),
        ({"gpu_hours_per_month": 5.9}, "4.0 GPU hours of the last 30 days and 2.0 for this run are 6.0 of 5.9"),
        ({"money_per_month": 9, "currency": "EUR"}, None),  # 4 h at 1.5, and 2 h at 1.5
        (
            {"money_per_month": 8.9, "currency": "EUR"},
            "6.0 EUR of the last 30 days and 3.0 for this run are 9.0 of 8.9",
        ),
        (
            {"gpu_hours_per_month": 1, "money_per_month": 1},
            (
                "4.0 GPU hours of the last 30 days and 2.0 for this run are 6.0 of 1; "
                "6.0 USD of the last 30 days and 3.0 for this run are 9.0 of 1"
            ),
        ),
    ],
)
def test_a_budget_is_used_up_to_its_last_cent(budget: dict[str, Any], reason: str | None) -> None:
    made = spent(budget, 9 * DAY, 3 * DAY, price_per_gpu_hour=1.5)
    found = decide(Facts(made, "config", NOW, Machine(1, 1.5)))
    assert found.act is (reason is None)
    if reason is not None:
        assert found.reason == f"{reason} {BASIS}"
        assert found.facts == {"rule": "budget", "used": 4.0, "estimate": 2.0, "spent": 6.0}


@pytest.mark.parametrize(
    ("ended", "again"),
    [
        ((9 * DAY, 3 * DAY), 6 * 3600),  # looked at again long before
        ((30 * DAY - timedelta(minutes=5), 3 * DAY), 300),
        ((3 * DAY, 30 * DAY - timedelta(minutes=5)), 300),
        ((30 * DAY, 3 * DAY), 6 * 3600),  # this one has left the month
        ((30 * DAY,), None),  # nothing leaves: the estimate alone is too much
        ((), None),
    ],
)
def test_a_budget_is_looked_at_again_when_a_run_leaves_the_month(
    ended: tuple[timedelta, ...], again: float | None
) -> None:
    assert decide(facts(spent({"gpu_hours_per_month": 1}, *ended))).again_in == again


def test_a_run_under_way_elsewhere_in_the_history_does_not_break_the_sum() -> None:
    made = spent({"gpu_hours_per_month": 1}, 3 * DAY)
    made.runs.append(run(2, status="failed", submitted=None, started=None, finished=None))
    assert decide(facts(made)).again_in == 6 * 3600
