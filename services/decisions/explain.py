"""What each part of a loop would do now, and what it lacks for it, in plain sentences with their numbers.

Every answer is made of the rules that decide, all of them instead of the first that holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.decisions import promote, register, rollout, train
from services.decisions.decision import Decision, held
from services.decisions.train_facts import Facts
from services.loop_config import Task
from services.state import LoopState, Rollout, Slot


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing that holds a part back: the rule's name, its sentence, and its numbers."""

    rule: str
    reason: str
    numbers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Explanation:
    """One part of the loop. It would act now if, and only if, nothing is missing.

    `again_in`, in seconds, is when time alone changes the answer; None where it takes new facts.
    """

    part: str
    says: str
    missing: tuple[Missing, ...] = ()
    again_in: float | None = None

    @property
    def acts(self) -> bool:
        """Whether it would act now."""
        return not self.missing

    def sentences(self) -> Iterator[str]:
        """As lines for a person."""
        yield f"{self.part.capitalize()}: {self.says}"
        yield from (f"  - {missing.reason}" for missing in self.missing)


def explain(registration: register.Facts, training: Facts) -> tuple[Explanation, ...]:
    """Explain a loop's registration, training, promotion and rollout, in the order in which a model comes about."""
    state = training.state
    return (
        _of_rules("registration", register.decide(registration), held(register.RULES, registration)),
        _of_rules("training", train.decide(training), held(train.RULES, training)),
        _promotion(state),
        _rollout(state),
    )


_NOT_NOW = {"registration": "No dataset version would be registered now", "training": "No training run would start now"}


def _of_rules(part: str, decision: Decision, holding: Iterator[Decision]) -> Explanation:
    missing = tuple(_missing(one) for one in holding)
    if decision.act:
        return Explanation(part, decision.reason)
    return Explanation(part, _NOT_NOW[part], missing, decision.again_in)


def _missing(one: Decision) -> Missing:
    numbers = {name: value for name, value in one.facts.items() if name != "rule"}
    return Missing(str(one.facts["rule"]), one.reason, numbers)


def _promotion(state: LoopState) -> Explanation:
    under_way = state.rollout if state.rollout and state.rollout.step != "done" else None
    if under_way is None:
        return _nobody(state, _bar(state))
    task = state.version(under_way.dataset_version).task
    return _measured(state, under_way, task, _bar(state))


def _nobody(state: LoopState, bar: str) -> Explanation:
    last = f"; the last was {state.rollout.outcome}: {state.rollout.decision}" if state.rollout else ""
    return Explanation("promotion", bar, (Missing("challenger", f"No challenger is being measured{last}"),))


def _bar(state: LoopState) -> str:
    """What the next challenger has to reach."""
    policy, champion = state.config.config.promotion, state.champion
    if champion is None:
        task = state.config.config.task or state.catalogue.task
        metric = promote.metric_of(policy, task) if task else "the primary metric"
        return f"A first model needs {metric} above 0 and at least {policy.minimum:g}"
    margin = f" by at least {policy.margin:g}" if policy.margin else ""
    return f"A challenger has to beat run {champion.run} ({champion.metric} {champion.score:.4f}){margin}"


def _measured(state: LoopState, under_way: Rollout, task: Task, bar: str) -> Explanation:
    scores, holdout = under_way.scores, under_way.holdout_images
    if under_way.slot not in scores:
        done = under_way.evaluated.get(under_way.slot, 0)
        said = f"Run {under_way.run} is not measured yet: {done} of {holdout or 'its'} holdout images, "
        return Explanation("promotion", bar, (Missing("measured", f"{said}step {under_way.step}"),))
    best = scores.get(_other(under_way.slot)) if state.champion else None
    decision = promote.decide(state.config.config.promotion, task, scores[under_way.slot], best, under_way.unopposed)
    return Explanation("promotion", decision.reason, () if decision.act else (Missing("better", decision.reason),))


def _other(slot: Slot) -> Slot:
    return "green" if slot == "blue" else "blue"


def _rollout(state: LoopState) -> Explanation:
    found = rollout.candidates(state)
    if found.next is not None:
        said = f"The model of run {found.next.number} would be deployed beside the champion"
        return Explanation(
            "rollout", said if state.champion else f"The model of run {found.next.number} goes live first"
        )
    return Explanation("rollout", "No rollout would start now", tuple(_no_rollout(state)))


def _no_rollout(state: LoopState) -> Iterator[Missing]:
    under_way, waiting = state.rollout, [r.number for r in state.runs if r.rollout == "pending"]
    if under_way is not None and under_way.step != "done":
        yield Missing("active", f"Run {under_way.run} is being rolled out in slot {under_way.slot}: {under_way.step}")
    elif not waiting:
        yield Missing("candidate", "No model waits to be rolled out")
    if state.paused:
        yield Missing("paused", state.paused)
