"""The card of a model: what it was made of, how it was measured beside the champion, and what was decided, and why.

Written as `models/<loop>/<version>/card.json` and `card.md` in the system container, before the state that it tells of:
a crash between the two repeats the step, and with it the card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from services.context import LoopContext
from services.decisions.promote import metric_of
from services.errors import ConfigError, NotFound
from services.rollout.card_text import markdown
from services.rollout.pictures import picture
from services.rollout.places import card_blob, result_blob
from services.state import DatasetVersion, Rollout, RolloutStep, TrainingRun
from services.training.job import config_hash

TELLING: frozenset[RolloutStep] = frozenset({"approve", "keep", "abandon", "done"})
"""Steps that begin with something new to tell: a decision, or an outcome."""


def write(context: LoopContext, rollout: Rollout) -> None:
    """Write the card as things stand; a rollout that measured nothing has none."""
    if rollout.step not in TELLING or not rollout.scores:
        return
    system, version = context.cloud.system, rollout.model.version
    with suppress(NotFound):  # measurements that somebody deleted hold no rollout up
        result = json.loads(system.read(result_blob(context.loop, rollout.run)).data)
        made = card(context, rollout, result)
        system.write(card_blob(context.loop, version, "json"), json.dumps(made, indent=1).encode())
        system.write(card_blob(context.loop, version, "md"), markdown(made).encode())


def card(context: LoopContext, rollout: Rollout, result: Mapping[str, Any]) -> dict[str, Any]:
    """The card as plain values; `result` is what the evaluation stored."""
    state = context.state
    run, version = state.run(rollout.run), state.version(rollout.dataset_version)
    measured = {"champion" if found["champion"] else "challenger": found for found in result["slots"].values()}
    return {
        "loop": context.loop,
        "model": rollout.model.model_dump(),
        "task": version.task,
        "written": context.now.isoformat(),
        "outcome": rollout.outcome or "deciding",
        "decision": rollout.decision,
        "metric": metric_of(context.config.promotion, version.task),
        "interval": result["interval"],
        "holdout_images": result["images"],
        "metrics": {name: found["metrics"] for name, found in measured.items()},
        "per_class": {name: found["per_class"] for name, found in measured.items()},
        "latency_ms": {name: found["latency_ms"] for name, found in measured.items()},
        "data": _data(version),
        "lineage": _lineage(run, rollout, measured.get("champion", {}).get("model")),
        "training": _training(context, run),
        "picture": picture({name: found["picture"] for name, found in measured.items()}),
    }


def _data(version: DatasetVersion) -> dict[str, Any]:
    names = {"number", "content_hash", "classes", "train_asset", "validation_asset", "train_images"}
    names |= {"validation_images", "images_per_class", "annotations_per_class"}
    return {**version.model_dump(include=names), "created": version.created.isoformat()}


def _lineage(run: TrainingRun, rollout: Rollout, champion: str | None) -> dict[str, Any]:
    return {
        "run": run.number,
        "job": run.job,
        "trial": run.best_child,
        "trial_metrics": run.metrics,
        "compared_with": champion,
        "not_compared_because": rollout.unopposed,
        "endpoint": rollout.endpoint,
        "slot": rollout.slot,
        "ordered_by_a_person": rollout.order.order.signed.strip() if rollout.order else None,
    }


def _training(context: LoopContext, run: TrainingRun) -> dict[str, Any]:
    """The settings that it was trained with, while loop.yaml still has them, and what the run took."""
    started, ended = run.started or run.submitted, run.finished
    seconds = (ended - started).total_seconds() if started and ended else None
    return {
        **_settings(context, run),
        "config_hash": run.config_hash,
        "started": started.isoformat() if started else None,
        "seconds": seconds,
        "machines": run.machines,
        "gpu_hours": run.gpu_hours,
        "cost": run.cost,
        "currency": run.currency if run.cost is not None else None,
    }


def _settings(context: LoopContext, run: TrainingRun) -> dict[str, Any]:
    """By the hash that the run was started with: settings that somebody wrote since made another model."""
    training, version = context.config.training, context.state.version(run.dataset_version)
    with suppress(ConfigError):
        if config_hash(context.config, version, context.state.catalogue.code_digest) == run.config_hash:
            names = {"primary_metric", "sampling", "parameters", "search_space", "limits", "command"}
            names -= {"command"} if training.kind == "automl" else {"sampling", "parameters", "search_space"}
            return {"kind": training.kind, **training.model_dump(include=names)}
    return {"settings": "loop.yaml has others by now; those of this model are in its job"}
