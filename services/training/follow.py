"""Follows a submitted job to its end, and registers the model of its best trial."""

from __future__ import annotations

from datetime import timedelta

from services.cloud.ports.training import BestChild, JobView
from services.context import LoopContext
from services.decisions.failures import Evidence, classify, failure, ran_out
from services.errors import VisionloopError
from services.names import model_name
from services.state import ModelRef, TrainingRun
from services.training import outcome
from services.training.trials import keep

READ_LAG = timedelta(minutes=5)
"""A job that was submitted this recently, and is not found, may only be not visible yet."""
LONG_WAIT = timedelta(minutes=30)
"""A cluster needs about five minutes to start a machine; after this long something is in the way."""
TAG_LAG = timedelta(minutes=1)
"""A job that ended this recently, and names no best trial, may only not have been told of it yet."""


def follow(context: LoopContext, run: TrainingRun) -> float:
    """Look at a run's job; returns when to look again, in seconds.

    Raises:
        Upstream: Azure ML fails in a way that may pass.
    """
    view = context.cloud.workspace.job(run.job)
    if view is None:
        return _vanished(context, run)
    if view.phase != "waiting":
        keep(context, run)
    if view.phase == "canceled":
        timed_out = run.cancel is None and ran_out(view.started, view.ended, run.timeout_minutes)
        return outcome.time_out(context, run, view) if timed_out else outcome.cancel(context, run, view)
    if view.phase == "failed":
        return outcome.fail_by(context, run, view)
    if view.phase == "completed":
        return _complete(context, run, view)
    if run.cancel is not None and view.status != "CancelRequested":
        context.cloud.workspace.cancel(run.job)
    # a job that runs is paid, also where MLflow does not say since when
    started = view.started or run.started or (None if view.phase == "waiting" else context.now)
    if (run.phase, run.started) != (view.status, started):
        run.phase, run.started = view.status, started
        run.waiting = run.waiting if view.phase == "waiting" else ""
        context.save()
    if view.phase == "waiting" and not run.waiting and context.now - (run.submitted or context.now) >= LONG_WAIT:
        _tell_waiting(context, run)
    return context.cloud.settings.poll_seconds


def _tell_waiting(context: LoopContext, run: TrainingRun) -> None:
    """Once: a job without quota or capacity does not fail, it waits for days and costs nothing."""
    name = context.config.training.compute.name
    errors = context.cloud.workspace.compute_errors(name)
    found = classify(Evidence((), "; ".join(errors)))
    said = "; ".join(errors) or "the cluster gives no reason"
    since = f"Training run {run.number} has waited for a machine of {name} since {run.submitted:%Y-%m-%d %H:%M} UTC"
    run.waiting = f"{since}: {said}"
    told = {"failure": found.kind, "help": found.help} if errors else {}
    context.tell("training.waiting", run.waiting, **told, **outcome.about(run))
    context.save()


def _vanished(context: LoopContext, run: TrainingRun) -> float:
    if run.submitted is not None and context.now - run.submitted < READ_LAG and not run.phase:
        return context.cloud.settings.poll_seconds
    return outcome.fail(context, run, f"The job {run.job} is no longer in Azure ML", failure("deleted"))


def _complete(context: LoopContext, run: TrainingRun, view: JobView) -> float:
    child = context.cloud.workspace.best_child(run.job)
    if child is not None:
        return _register(context, run, view, child)
    if view.ended is not None and context.now - view.ended < TAG_LAG:
        return context.cloud.settings.poll_seconds
    return outcome.fail_by(context, run, view)


def _register(context: LoopContext, run: TrainingRun, view: JobView, child: BestChild) -> float:
    model = ModelRef(name=model_name(context.loop), version=str(run.number))
    tags = {
        "visionloop_loop": context.loop,
        "visionloop_job": run.job,
        "visionloop_dataset": str(run.dataset_version),
    }
    try:
        context.cloud.workspace.register_model(model.name, model.version, child.run_id, tags)
    except VisionloopError as error:
        if error.retryable:
            raise
        reason = f"The model could not be registered: {error.detail}"
        return outcome.fail(context, run, reason, failure("unknown"), view)
    return outcome.complete(context, run, view, child, model)
