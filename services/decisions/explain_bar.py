"""What the next challenger has to reach, in one sentence: all that the gate asks for, and on which images."""

from __future__ import annotations

from collections.abc import Iterator

from services.decisions import promote
from services.loop_config import Task
from services.rollout_config import Promotion
from services.state import Champion, LoopState


def bar(state: LoopState) -> str:
    """Everything that `promote.decide` will ask, and who is asked after it."""
    policy, champion = state.config.config.promotion, state.champion
    task = state.config.config.task or state.catalogue.task
    if champion is None:
        return _joined(_first(policy, task), policy)
    if task is not None and champion.task != task:
        other = f"The champion (run {champion.run}) is of another task, {champion.task}, so nothing is compared with it"
        return _joined(f"{other}. {_first(policy, task)}", policy)
    return _joined(_against(policy, champion), policy)


def _first(policy: Promotion, task: Task | None) -> str:
    metric = promote.metric_of(policy, task) if task else "the primary metric"
    least = f"of at least {policy.minimum:g}" if policy.minimum else "above 0"
    return f"A first model needs {metric} {least}"


def _against(policy: Promotion, champion: Champion) -> str:
    """The champion's own score is of older images: it is measured anew beside the challenger."""
    metric = promote.metric_of(policy, champion.task)
    known = f" ({champion.score:.4f} when it went live)" if champion.metric == metric else ""
    margin = f" by at least {policy.margin:g}" if policy.margin else ""
    return (
        f"A challenger has to beat run {champion.run} in {metric}{known}{margin}, both on the newest validation images"
    )


def _joined(first: str, policy: Promotion) -> str:
    return "; ".join([first, *_further(policy)])


def _further(policy: Promotion) -> Iterator[str]:
    if policy.require_significance:
        yield "by more than noise"
    for name, floor in sorted(policy.class_floors.items()):
        yield f"{'every other class' if name == promote.ANY_CLASS else f'class `{name}`'} at least {floor:g}"
    if policy.max_latency_ms is not None:
        yield f"95 % of images within {policy.max_latency_ms:g} ms"
    if policy.approval == "required":
        yield "and then somebody's yes"
