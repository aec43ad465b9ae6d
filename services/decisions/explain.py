"""What each part of a loop would do now, and what it lacks for it, in plain sentences with their numbers.

Every answer is made of the rules that decide, all of them instead of the first that holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from services.decisions import budget, register, train
from services.decisions.decision import Decision, held
from services.decisions.explain_rollout import promotion, traffic
from services.decisions.explanation import Explanation, Missing
from services.decisions.train_facts import Facts
from services.state import Order


def explain(registration: register.Facts, training: Facts) -> tuple[Explanation, ...]:
    """Explain a loop's registration, training, promotion and rollout, in the order in which a model comes about."""
    state = training.state
    return (
        _of_rules("registration", register.decide(registration), held(register.RULES, registration)),
        _priced(
            _wanted(_of_rules("training", train.decide(training), held(train.RULES, training)), state.train_now),
            training,
        ),
        promotion(state),
        traffic(state),
    )


_NOT_NOW = {"registration": "No dataset version would be registered now", "training": "No training run would start now"}


def _of_rules(part: str, decision: Decision, holding: Iterator[Decision]) -> Explanation:
    missing = tuple(_missing(one) for one in holding)
    if decision.act:
        return Explanation(part, decision.reason)
    return Explanation(part, _NOT_NOW[part], missing, decision.again_in)


def _wanted(found: Explanation, order: Order | None) -> Explanation:
    """A request that a cap holds is not forgotten: it is paid for once nothing holds it, perhaps weeks later."""
    if order is None or found.acts:
        return found
    since = f"{order.at:%Y-%m-%d %H:%M} UTC"
    return replace(
        found, says=f"{found.says}; one was asked for{order.signed} at {since}, and starts once nothing holds it"
    )


def _priced(found: Explanation, facts: Facts) -> Explanation:
    """What the run that would start uses, and what that is known by."""
    if not found.acts:
        return found
    next_run, currency = facts.estimate, facts.policy.budget.currency
    cost = budget.amount(next_run.cost, currency)
    return replace(found, says=f"{found.says}; about {next_run.gpu_hours:.2f} GPU hours, {cost} ({next_run.basis})")


def _missing(one: Decision) -> Missing:
    numbers = {name: value for name, value in one.facts.items() if name != "rule"}
    return Missing(str(one.facts["rule"]), one.reason, numbers)
