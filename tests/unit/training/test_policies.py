from __future__ import annotations

from typing import Any

import pytest

from emulator.azure_ml.training.policies import Policy

EARLIER = [[0.2, 0.5, 0.8], [0.1, 0.3, 0.4]]


def stops(settings: dict[str, Any] | None, *trials: list[float]) -> list[bool]:
    """What is said of the last trial's metrics, the others having run before it."""
    policy = Policy(settings)
    for trial in trials:
        policy.begin()
        said = [policy.stops(value) for value in trial]
    return said


def bandit(**settings: float) -> dict[str, Any]:
    return {"policy": "bandit", **settings}


def test_without_a_policy_nothing_is_stopped() -> None:
    assert stops(None, *EARLIER, [0.0, 0.0, 0.0]) == [False] * 3


@pytest.mark.parametrize("name", ["bandit", "median_stopping", "truncation_selection"])
def test_the_first_trial_is_never_stopped(name: str) -> None:
    settings = {"policy": name, "slack_factor": 0.1, "truncation_percentage": 50}
    assert stops(settings, [0.9, 0.1, 0.0]) == [False] * 3


def test_bandit_with_a_factor_allows_the_best_divided_by_one_more_than_it() -> None:
    # the best so far is 0.8; 0.8 / 1.25 = 0.64
    assert stops(bandit(slack_factor=0.25), *EARLIER, [0.3, 0.5, 0.65]) == [False, False, False]
    assert stops(bandit(slack_factor=0.25), *EARLIER, [0.3, 0.5, 0.63]) == [False, False, True]


def test_bandit_with_an_amount_allows_the_best_less_it() -> None:
    assert stops(bandit(slack_amount=0.25), *EARLIER, [0.2, 0.3, 0.56]) == [False, False, False]
    assert stops(bandit(slack_amount=0.25), *EARLIER, [0.2, 0.3, 0.54]) == [False, False, True]


def test_bandit_compares_with_what_others_had_reached_by_the_same_interval() -> None:
    assert stops(bandit(slack_amount=0.05), [0.2, 0.9], [0.2]) == [False]


def test_the_delay_holds_a_policy_back() -> None:
    settings = bandit(slack_factor=0.1, delay_evaluation=2)
    assert stops(settings, *EARLIER, [0.0, 0.0, 0.0]) == [False, False, True]


def test_the_interval_is_when_a_policy_looks() -> None:
    settings = bandit(slack_factor=0.1, evaluation_interval=2)
    assert stops(settings, *EARLIER, [0.0, 0.0, 0.0]) == [False, True, False]


def test_median_stopping_compares_the_best_with_the_median_of_running_averages() -> None:
    settings = {"policy": "median_stopping"}
    # running averages over three: 0.5 and 0.2667; their median 0.3833
    assert stops(settings, *EARLIER, [0.2, 0.36, 0.39]) == [False, False, False]
    assert stops(settings, *EARLIER, [0.2, 0.36, 0.37]) == [False, False, True]


def test_truncation_stops_the_lowest_share() -> None:
    settings = {"policy": "truncation_selection", "truncation_percentage": 40}
    trials = [[0.5], [0.6], [0.7], [0.8]]
    # of five trials two fifths are cut: a trial with nobody, or one, below it
    assert stops(settings, *trials, [0.4]) == [True]
    assert stops(settings, *trials, [0.55]) == [True]
    assert stops(settings, *trials, [0.65]) == [False]
    assert stops(settings, *trials, [0.9]) == [False]


def test_a_trial_that_ended_early_counts_by_its_last_metric() -> None:
    settings = {"policy": "truncation_selection", "truncation_percentage": 30}
    assert stops(settings, [0.5], [0.1, 0.2, 0.3], [0.2, 0.3, 0.4]) == [False, False, False]
    assert stops(settings, [0.5], [0.1, 0.2, 0.45], [0.2, 0.3, 0.4]) == [False, False, True]
