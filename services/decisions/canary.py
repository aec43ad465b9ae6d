"""Whether a challenger does its users harm: its share of failed requests and its latency, beside the champion's."""

from __future__ import annotations

from dataclasses import dataclass

from services.rollout_config import Health
from services.state import Watched
from services.words import numbered


@dataclass(frozen=True, slots=True)
class Verdict:
    """`healthy` is None while there are too few requests to tell."""

    healthy: bool | None
    reason: str


def judge(policy: Health, challenger: Watched, champion: Watched | None) -> Verdict:
    """Judge what was seen so far.

    A champion of whom nothing was seen counts as one without errors; latency is only compared with one that answered
    `min_requests` too.
    """
    if challenger.requests < policy.min_requests:
        said = f"{_requests(challenger)}, fewer than the {policy.min_requests} that tell something"
        return Verdict(None, said)
    best = champion or Watched()
    against = [*_errors(policy, challenger, best), *_latency(policy, challenger, best)]
    return Verdict(not against, "; ".join(against) or f"{_seen(challenger)}; champion: {_seen(best)}")


def _errors(policy: Health, challenger: Watched, champion: Watched) -> list[str]:
    rate, usual = _rate(challenger), _rate(champion)
    if rate <= usual + policy.max_error_rate:
        return []
    allowed = f"{policy.max_error_rate:.1%} more are allowed"
    return [
        f"{challenger.errors} of {_requests(challenger)} failed ({rate:.1%}), of the champion's {usual:.1%}; {allowed}"
    ]


def _latency(policy: Health, challenger: Watched, champion: Watched) -> list[str]:
    took, usual = challenger.p95_ms, champion.p95_ms
    if took is None or usual is None or champion.requests < policy.min_requests:
        return []
    if took <= usual * policy.max_latency_ratio:
        return []
    ratio = f"{policy.max_latency_ratio:g} times that is allowed"
    return [f"95 % of requests take up to {took:.0f} ms, the champion's {usual:.0f} ms; {ratio}"]


def _rate(seen: Watched) -> float:
    return seen.errors / seen.requests if seen.requests else 0.0


def _requests(seen: Watched) -> str:
    return numbered(seen.requests, "request")


def _seen(seen: Watched) -> str:
    took = f", 95 % within {seen.p95_ms:.0f} ms" if seen.p95_ms is not None else ""
    return f"{_requests(seen)}, {seen.errors} failed{took}"
