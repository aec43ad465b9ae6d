from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.canary import judge
from services.rollout_config import Health
from services.state import Watched

POLICY = Health(min_requests=20, max_error_rate=0.05, max_latency_ratio=2)


@pytest.mark.parametrize(
    ("challenger", "champion", "healthy"),
    [
        ((19, 19, 1.0), (100, 0, 50.0), None),  # too few to tell, however bad
        ((20, 0, 50.0), (100, 0, 50.0), True),
        ((20, 1, 50.0), (100, 0, 50.0), True),  # one in twenty is allowed
        ((20, 2, 50.0), (100, 0, 50.0), False),
        ((20, 2, 50.0), (100, 10, 50.0), True),  # the champion fails as often
        ((20, 0, 100.0), (100, 0, 50.0), True),
        ((20, 0, 101.0), (100, 0, 50.0), False),
        ((20, 0, 101.0), (20, 0, 50.0), False),
        ((20, 0, 101.0), (19, 0, 50.0), True),  # a champion that answered too seldom is no measure of latency
        ((20, 2, None), None, False),
        ((20, 0, 9000.0), None, True),
    ],
)
def test_a_challenger_is_judged_beside_the_champion(
    challenger: tuple[int, int, float], champion: tuple[int, int, float] | None, healthy: bool | None
) -> None:
    def seen(found: tuple[int, int, float]) -> Watched:
        return Watched(requests=found[0], errors=found[1], p95_ms=found[2])

    verdict = judge(POLICY, seen(challenger), seen(champion) if champion else None)
    assert verdict.healthy is healthy
    assert verdict.reason


def test_the_reason_holds_the_numbers() -> None:
    bad = Watched(requests=40, errors=10, p95_ms=300)
    said = judge(POLICY, bad, Watched(requests=360, errors=18, p95_ms=100)).reason
    assert said == (
        "10 of 40 requests failed (25.0%), of the champion's 5.0%; 5.0% more are allowed; "
        "95 % of requests take up to 300 ms, the champion's 100 ms; 2 times that is allowed"
    )


@pytest.mark.parametrize(
    ("challenger", "champion", "said"),
    [
        (Watched(requests=1), None, "1 request, fewer than the 20 that tell something"),
        (Watched(requests=19), None, "19 requests, fewer than the 20 that tell something"),
        (Watched(requests=20), None, "20 requests, 0 failed; champion: 0 requests, 0 failed"),
        (
            Watched(requests=20, errors=1, p95_ms=50.4),
            Watched(requests=300, errors=9, p95_ms=49.6),
            "20 requests, 1 failed, 95 % within 50 ms; champion: 300 requests, 9 failed, 95 % within 50 ms",
        ),
        (
            Watched(requests=20, errors=2),
            None,
            "2 of 20 requests failed (10.0%), of the champion's 0.0%; 5.0% more are allowed",
        ),
    ],
)
def test_what_is_said_of_both(challenger: Watched, champion: Watched | None, said: str) -> None:
    assert judge(POLICY, challenger, champion).reason == said


counts = st.integers(0, 500)


@given(counts, counts, counts, counts)
def test_nobody_is_blamed_for_less_than_the_champion_does(a: int, b: int, c: int, d: int) -> None:
    one, other = Watched(requests=a + b, errors=b), Watched(requests=c + d, errors=d)
    verdict = judge(POLICY, one, other)
    if verdict.healthy is False:
        assert one.errors * max(other.requests, 1) > other.errors * one.requests
        assert one.requests >= POLICY.min_requests
