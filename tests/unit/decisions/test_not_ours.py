"""Whose an endpoint is: two loops on one would delete each other's champion."""

from __future__ import annotations

import pytest

from services.decisions.rollout import not_ours

BY_HAND = "was not made by Visionloop, and its traffic goes to blue 100 %: give this loop another endpoint.name"


@pytest.mark.parametrize(
    ("live", "owner", "traffic", "why"),
    [
        (False, "cards", {}, ""),
        (True, "cards", {"blue": 100}, ""),
        (False, "nuts", {}, "belongs to the loop nuts: give this loop another endpoint.name"),
        (True, "nuts", {"blue": 100}, "belongs to the loop nuts: give this loop another endpoint.name"),
        (False, "", {}, ""),
        (False, "", {"blue": 100}, BY_HAND),
        (True, "", {"blue": 100}, ""),
        (False, "cards", {"blue": 100}, ""),
    ],
)
def test_only_ones_own_and_idle_ones_are_taken(live: bool, owner: str, traffic: dict[str, int], why: str) -> None:
    assert not_ours("cards", live, owner, traffic) == why
