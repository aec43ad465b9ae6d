"""How a training run ends: with a model, failed, or cancelled; what it cost, and what is told of it."""

from __future__ import annotations

from services.cloud.ports.training import BestChild, JobView
from services.context import LoopContext
from services.decisions import budget
from services.decisions.failures import Evidence, Failure, classify, failure
from services.state import ModelRef, TrainingRun
from services.training.job import primary_metric

STAGE = "training"


def complete(context: LoopContext, run: TrainingRun, view: JobView, child: BestChild, model: ModelRef) -> float:
    """The best trial is registered as a model, which waits for its rollout."""
    _record(context, run, view)
    run.status, run.best_child, run.metrics = "completed", child.run_id, dict(child.metrics)
    run.model, run.rollout = model, "pending"
    _tell_completed(context, run, model)
    return 0.0


def _tell_completed(context: LoopContext, run: TrainingRun, model: ModelRef) -> None:
    metric = primary_metric(context.config.training, context.state.version(run.dataset_version).task)
    score = f", {metric} {run.metrics[metric]:.3f}" if metric in run.metrics else ""
    reason = f"Training run {run.number} completed: best trial {run.best_child}{score}; {_cost(run)}"
    run.reason = context.state.reasons[STAGE] = reason
    context.tell("training.completed", reason, metrics=run.metrics, **about(run))
    registered = f"Model {model.name}:{model.version} is registered from trial {run.best_child}"
    context.tell("model.registered", registered, run=run.number, model=model.name, version=model.version)
    context.save()


def cancel(context: LoopContext, run: TrainingRun, view: JobView | None = None) -> float:
    """By us or outside; not trained again by itself, as somebody did not want it."""
    run.status, run.failure, run.help = "canceled", "cancelled", failure("cancelled").help
    _record(context, run, view)
    where = run.cancel.signed if run.cancel else " in Azure ML, not by Visionloop"
    run.reason = context.state.reasons[STAGE] = f"Training run {run.number} was cancelled{where}"
    context.tell("training.canceled", run.reason, dataset_version=run.dataset_version, **about(run))
    context.save()
    return 0.0


def time_out(context: LoopContext, run: TrainingRun, view: JobView) -> float:
    """Azure ML cancelled the job at its limit; nobody did."""
    said = f"The job was cancelled by Azure ML at its limit of {run.timeout_minutes} minutes (training.limits)"
    return fail(context, run, said, failure("timeout"), view)


def fail_by(context: LoopContext, run: TrainingRun, view: JobView) -> float:
    """The job failed, or says Completed though no trial of it did."""
    trials = context.cloud.workspace.trial_errors(run.job)
    told = [Evidence(t.codes, t.message) for t in trials]
    said = view.error or next((f"trial {t.trial}: {t.message}" for t in trials if t.message), "no reason is given")
    outcome = f"ended as {view.status}" if view.phase == "failed" else f"says {view.status}, but no trial of it did"
    found = classify(Evidence(view.codes, view.error), told)
    return fail(context, run, f"The job {outcome}: {said}", found, view)


def fail(context: LoopContext, run: TrainingRun, reason: str, found: Failure, view: JobView | None = None) -> float:
    """The run has no model; the kind of the failure says whether it is repeated."""
    _record(context, run, view)
    run.status, run.failure, run.help = "failed", found.kind, found.help
    run.reason = context.state.reasons[STAGE] = reason
    told = {"failure": run.failure, "help": run.help, "dataset_version": run.dataset_version}
    context.tell("training.failed", f"{reason} ({run.failure}: {run.help})", **told, **about(run))
    context.save()
    return 0.0


def _record(context: LoopContext, run: TrainingRun, view: JobView | None) -> None:
    run.finished = (view.ended if view else None) or context.now
    if view is not None:
        run.phase, run.started = view.status, view.started or run.started
    budget.settle(run)


def about(run: TrainingRun) -> dict[str, object]:
    """What every event of a run has: which it is, and what it costs."""
    hours, price = run.estimated_gpu_hours, run.price_per_gpu_hour
    estimated_cost = None if hours is None or price is None else hours * price
    estimated = {"estimated_gpu_hours": hours, "estimated_cost": estimated_cost, "currency": run.currency}
    used = {} if run.gpu_hours is None else {"gpu_hours": run.gpu_hours, "cost": run.cost}
    return {"run": run.number, "job": run.job, "attempt": run.attempt, **estimated, **used}


def _cost(run: TrainingRun) -> str:
    return f"{run.gpu_hours or 0:.2f} GPU hours at most, {budget.amount(run.cost, run.currency)}"
