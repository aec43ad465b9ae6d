"""The steps that try the challenger: one real image, then the whole holdout beside the champion, then the decision."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from services.cloud.ports.storage import BlobStore
from services.context import LoopContext
from services.datasets.reading import HoldoutImage
from services.decisions import promote
from services.decisions.rollout import may_try
from services.errors import NotFound, Upstream, UpstreamRefused, VisionloopError
from services.names import digest
from services.rollout.answers import read_answer
from services.rollout.bootstrap import difference
from services.rollout.course import give_up, go, poll, try_again
from services.rollout.evaluation import Answer, Evaluation, Target
from services.rollout.metrics import Measures, measure
from services.rollout.places import result_blob
from services.state import Champion, DatasetVersion, Interval, Rollout

Holdout = Callable[[BlobStore, DatasetVersion], Sequence[HoldoutImage]]

SMOKE_IMAGES = 50
"""So many images are looked for until one is still there."""
MOST_MISSING = 0.5
"""With a larger share of the holdout deleted, a comparison would say little of it."""
MOST_CLASSES_TOLD = 50


def smoke(context: LoopContext, rollout: Rollout, holdout: Holdout) -> float:
    """Ask for one real image: a slot that does not answer it in the right shape gets no further."""
    version = context.state.version(rollout.dataset_version)
    image = readable_image(context, holdout(context.cloud.system, version))
    if image is None:
        return give_up(context, rollout, f"No validation image of dataset version {version.number} can be read")
    deadline = float(context.config.endpoint.request_timeout_seconds)
    try:
        found = context.cloud.scorer.score(rollout.scoring_uri, rollout.slot, [image], deadline=deadline)
        read_answer(version.task, found[0])
    except (Upstream, NotFound) as error:
        return _failing(context, rollout, error, "The smoke request failed")
    return go(context, rollout, "answered")


def readable_image(context: LoopContext, images: Sequence[HoldoutImage]) -> bytes | None:
    """The first of a few images that is still there."""
    for image in images[:SMOKE_IMAGES]:
        try:
            return context.cloud.data.read(image.blob).data
        except NotFound:
            continue
    return None


def answers(context: LoopContext, champion: Champion, holdout: Holdout) -> bool:
    """Whether the champion's slot answers one real image in the right shape; without any left, Azure ML's word does."""
    image = readable_image(context, holdout(context.cloud.system, context.state.version(champion.dataset_version)))
    if image is None:
        return True
    deadline = float(context.config.endpoint.request_timeout_seconds)
    try:
        found = context.cloud.scorer.score(champion.scoring_uri, champion.slot, [image], deadline=deadline)
        read_answer(champion.task, found[0])
    except (Upstream, NotFound):
        return False
    return True


def _failing(context: LoopContext, rollout: Rollout, error: VisionloopError, what: str) -> float:
    """A slot may need a moment after its deployment; what is refused would be refused again."""
    if isinstance(error, UpstreamRefused) or not may_try(rollout):
        return give_up(context, rollout, f"{what} after {rollout.attempts + 1} attempts: {error.detail}")
    try_again(context, rollout)
    asked = error.extra.get("retry_after")
    return max(float(asked), 1.0) if isinstance(asked, int | float) else poll(context)


def evaluate(context: LoopContext, rollout: Rollout, holdout: Holdout) -> float:
    """Have challenger and champion answer the same holdout through their slots, then measure both by the same code."""
    version = context.state.version(rollout.dataset_version)
    images = holdout(context.cloud.system, version)
    rollout.holdout_images = len(images)
    targets = _targets(context, rollout, version)
    evaluations = [Evaluation(context, rollout.run, target).load() for target in targets]
    for evaluation in evaluations:
        try:
            answered = _advance(rollout, evaluation, images)
        except (Upstream, NotFound) as error:
            return _not_answered(context, rollout, evaluation.target, error)
        if not answered:
            context.save()
            return 0.0
    return _measured(context, rollout, version, images, evaluations)


def _not_answered(context: LoopContext, rollout: Rollout, target: Target, error: VisionloopError) -> float:
    """A champion that only does not answer is not thereby beaten, unless its slot has failed or a person says so."""
    who = f"{target.model} in slot {target.slot} did not answer the evaluation"
    if target.slot == rollout.slot:
        return _failing(context, rollout, error, f"The challenger {who}")
    if not may_try(rollout) and (rollout.order is not None or _has_failed(context)):
        rollout.champion_silent, rollout.attempts = True, 0
        context.save()
        return 0.0
    instead = f"if the champion is what is broken, promote run {rollout.run} by hand"
    return _failing(context, rollout, error, f"The champion {who} ({instead})")


def _has_failed(context: LoopContext) -> bool:
    champion = context.state.champion
    view = context.cloud.workspace.deployment(champion.endpoint, champion.slot) if champion else None
    return view is not None and view.state == "failed"


def _advance(rollout: Rollout, evaluation: Evaluation, images: Sequence[HoldoutImage]) -> bool:
    before, slot = len(evaluation.answers), evaluation.target.slot
    try:
        return evaluation.advance(images)
    finally:
        rollout.evaluated[slot] = len(evaluation.answers)
        if len(evaluation.answers) > before:
            rollout.attempts = 0


def _targets(context: LoopContext, rollout: Rollout, version: DatasetVersion) -> list[Target]:
    """The challenger, and the champion where there is one to compare with; why not is kept for the reason."""
    challenger = _target(rollout.slot, rollout.scoring_uri, rollout.model.name, rollout.model.version, version)
    champion = context.state.champion
    rollout.unopposed = _no_opponent(context, rollout, version)
    if champion is None or rollout.unopposed:
        return [challenger]
    model = champion.model
    return [challenger, _target(champion.slot, champion.scoring_uri, model.name, model.version, version)]


def _target(slot: str, uri: str, name: str, model_version: str, version: DatasetVersion) -> Target:
    return Target(slot, uri, f"{name}:{model_version}", version.task)


def _no_opponent(context: LoopContext, rollout: Rollout, version: DatasetVersion) -> str:
    champion = context.state.champion
    if champion is None:
        return "there is no champion yet"
    if rollout.order is not None and rollout.order.kind == "rollback":
        return f"the model of run {rollout.run} is to be live again{rollout.order.order.signed}"
    if champion.task != version.task:
        return f"the champion (run {champion.run}) is of another task, {champion.task}"
    view = context.cloud.workspace.deployment(champion.endpoint, champion.slot)
    if view is None or view.state == "deleting":
        return f"the champion's slot {champion.slot} of {champion.endpoint} is gone"
    return f"the champion's slot {champion.slot} does not answer" if rollout.champion_silent else ""


def _measured(
    context: LoopContext,
    rollout: Rollout,
    version: DatasetVersion,
    images: Sequence[HoldoutImage],
    evaluations: Sequence[Evaluation],
) -> float:
    """Only images that every slot was asked for count, so that both are measured on the same."""
    common = [i for i in images if all(e.answers.get(i.blob) is not None for e in evaluations)]
    if not common or len(common) < len(images) * MOST_MISSING:
        said = f"Only {len(common)} of {len(images)} validation images are still there"
        return give_up(context, rollout, f"{said}: too few to compare models by")
    measures = {e.target.slot: _measure(version, common, e.answers) for e in evaluations}
    rollout.scores = {slot: dict(found.overall) for slot, found in measures.items()}
    rollout.latency_ms = {e.target.slot: took for e in evaluations if (took := e.latency_ms) is not None}
    rollout.interval = _interval(context, rollout, version, len(common), measures)
    models = {e.target.slot: e.target.model for e in evaluations}
    blob = _keep(context, rollout, version, len(common), measures, models)
    _tell(context, rollout, len(common), measures, blob)
    return go(context, rollout, "measured")


def _measure(version: DatasetVersion, images: Sequence[HoldoutImage], answers: Mapping[str, Answer]) -> Measures:
    return measure(version.task, version.classes, images, [answers[i.blob] or [] for i in images])


def _interval(
    context: LoopContext, rollout: Rollout, version: DatasetVersion, images: int, measures: Mapping[str, Measures]
) -> Interval | None:
    """How sure the difference is; seeded by what is compared, so that a repeated step says the same."""
    champion = next((found for slot, found in measures.items() if slot != rollout.slot), None)
    metric = promote.metric_of(context.config.promotion, version.task)
    again, against = measures[rollout.slot].again.get(metric), champion.again.get(metric) if champion else None
    if again is None or against is None:
        return None
    seed = int(digest(context.loop, str(rollout.run), str(version.number)), 16)
    return difference(again, against, images, seed)


def _keep(
    context: LoopContext,
    rollout: Rollout,
    version: DatasetVersion,
    images: int,
    measures: Mapping[str, Measures],
    models: Mapping[str, str],
) -> str:
    champion = context.state.champion
    slots = {
        slot: {
            "champion": champion is not None and slot != rollout.slot,
            "model": models[slot],
            "latency_ms": rollout.latency_ms.get(slot),
            **_plain(found),
        }
        for slot, found in measures.items()
    }
    interval = rollout.interval.model_dump() if rollout.interval else None
    result = {"run": rollout.run, "task": version.task, "dataset_version": version.number, "images": images}
    blob = result_blob(context.loop, rollout.run)
    context.cloud.system.write(blob, json.dumps({**result, "interval": interval, "slots": slots}, indent=1).encode())
    return blob


def _plain(found: Measures) -> dict[str, object]:
    per_class = {name: dict(metrics) for name, metrics in found.per_class.items()}
    return {"metrics": dict(found.overall), "per_class": per_class, "picture": dict(found.picture)}


def _tell(context: LoopContext, rollout: Rollout, images: int, measures: Mapping[str, Measures], blob: str) -> None:
    said = "; ".join(f"{slot} {_text(found.overall)}" for slot, found in measures.items())
    alone = f"; {rollout.unopposed}" if rollout.unopposed else ""
    challenger = measures[rollout.slot].per_class
    told = {name: dict(m) for name, m in list(challenger.items())[:MOST_CLASSES_TOLD]}
    context.tell(
        "rollout.evaluated",
        f"{images} validation images of dataset version {rollout.dataset_version}: {said}{alone}",
        run=rollout.run,
        challenger=rollout.slot,
        scores=rollout.scores,
        latency_ms=rollout.latency_ms,
        interval=rollout.interval.model_dump() if rollout.interval else None,
        per_class=told,
        result=blob,
    )


def _text(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()) or "not measurable"


def decide(context: LoopContext, rollout: Rollout) -> float:
    """Promote the challenger if it beats the champion."""
    version, champion = context.state.version(rollout.dataset_version), context.state.champion
    best = rollout.scores.get(champion.slot) if champion is not None and not rollout.unopposed else None
    policy, scores = context.config.promotion, rollout.scores.get(rollout.slot, {})
    evidence = _evidence(context, rollout)
    decision = promote.decide(policy, version.task, scores, best, rollout.unopposed, evidence)
    if not decision.act and rollout.order is None:
        return give_up(context, rollout, decision.reason, "rejected")
    rollout.decision = decision.reason
    if rollout.order is not None:
        rollout.decision = f"{decision.reason}; {rollout.order.kind} was asked for{rollout.order.order.signed}"
    return go(context, rollout, "better", rollout.decision)


def _evidence(context: LoopContext, rollout: Rollout) -> promote.Evidence:
    """Metrics by class are read back from storage: a loop may have a thousand, too many for the state."""
    result = json.loads(context.cloud.system.read(result_blob(context.loop, rollout.run)).data)
    per_class = result["slots"][rollout.slot]["per_class"]
    return promote.Evidence(per_class, rollout.latency_ms.get(rollout.slot), rollout.interval, result["images"])
