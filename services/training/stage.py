"""Starts training runs and follows them to a registered model. At most one paid job for one dataset and config.

    decide ─▶ record the run as intended ─▶ save ─▶ submit under its name ─▶ record as submitted ─▶ save
                                                 ▲ a crash here or after meets the same name again and adopts the job

A run stays active until its model is registered, so a crash between the two only repeats calls that are safe to repeat.
"""

from __future__ import annotations

from datetime import timedelta

from services.cloud.ports import BestChild, JobView
from services.context import LoopContext
from services.decisions import budget, train
from services.decisions.failures import Evidence, Failure, classify, failure
from services.decisions.train_facts import Facts
from services.errors import ConfigError, VisionloopError
from services.names import job_name, model_name
from services.state import DatasetVersion, ModelRef, TrainingRun
from services.training.facts import facts_of
from services.training.job import compute_spec, config_hash, job_spec, primary_metric

READ_LAG = timedelta(minutes=5)
"""A job that was submitted this recently, and is not found, may only be not visible yet."""
TAG_LAG = timedelta(minutes=1)
"""A job that ended this recently, and names no best trial, may only not have been told of it yet."""
SUBMIT_PATIENCE = timedelta(hours=1)
"""A job that Azure ML could not take for this long is given up."""
REFUSAL_PATIENCE = timedelta(minutes=10)
"""The same where it refuses the job: a cluster still being created, or a role just assigned, refuses for minutes."""


class TrainingStage:
    """At most one run at a time: from the decision to the registered model."""

    name = "training"

    def step(self, context: LoopContext) -> float | None:
        """Make one step: start a run, submit it, or look at its job.

        Raises:
            Upstream: Azure ML fails in a way that may pass.
        """
        run = context.state.active_run
        if run is None:
            return self._consider(context)
        if run.status == "submitted":
            return self._follow(context, run)
        return self._submit(context, run) if run.cancel is None else self._cancel_unsent(context, run)

    def _consider(self, context: LoopContext) -> float | None:
        version, facts = (
            context.state.dataset,
            facts_of(context.state, context.now, context.cloud.settings.machine_prices),
        )
        decision = train.decide(facts)
        if not decision.act or version is None:
            self._hold(context, decision.reason, str(decision.facts.get("rule", "")))
            return decision.again_in
        self._intend(context, version, facts, decision.reason)
        return 0.0

    def _hold(self, context: LoopContext, reason: str, rule: str) -> None:
        """Told once a reason: the reason of an unchanged situation reads the same at every look."""
        answered = context.state.train_now is not None and rule in train.ANSWERS
        if context.state.reasons.get(self.name) == reason and not answered:
            return
        context.state.reasons[self.name] = reason
        if rule not in train.QUIET or answered:
            context.tell("training.held", reason, rule=rule)
        if answered:
            context.state.train_now = None
        context.save()

    def _intend(self, context: LoopContext, version: DatasetVersion, facts: Facts, reason: str) -> None:
        training = context.config.training
        number = max((r.number for r in context.state.runs), default=0) + 1
        run = TrainingRun(
            number=number,
            job=job_name(context.loop, version.content_hash, facts.config_hash, facts.attempt),
            dataset_version=version.number,
            config_hash=facts.config_hash,
            attempt=facts.attempt,
            machines=budget.machines(training),
            gpus=facts.machine.gpus,
            price_per_gpu_hour=budget.price_per_gpu_hour(training, facts.machine),
            currency=training.budget.currency,
            estimated_gpu_hours=facts.estimate.gpu_hours,
            intended=context.now,
            reason=reason,
        )
        context.state.runs.append(run)
        context.state.train_now = None
        context.state.reasons[self.name] = reason
        context.save()

    def _submit(self, context: LoopContext, run: TrainingRun) -> float:
        workspace = context.cloud.workspace
        version = context.state.version(run.dataset_version)
        try:
            if config_hash(context.config, version) == run.config_hash:
                workspace.ensure_compute(compute_spec(context.config.training))
                workspace.submit(job_spec(context.loop, context.config, version, run))
            elif workspace.job(run.job) is None:
                return self._withdraw(context, run)
        except VisionloopError as error:
            return self._refused(context, run, error)
        run.status, run.submitted = "submitted", context.now
        context.state.reasons[self.name] = f"Training run {run.number} is under way: {run.reason}"
        context.tell("training.started", run.reason, dataset_version=version.number, **_about(run))
        context.save()
        return context.cloud.settings.poll_seconds

    def _cancel_unsent(self, context: LoopContext, run: TrainingRun) -> float:
        """Cancelled between intent and submission: the job may have been made by a process that died after it."""
        if context.cloud.workspace.job(run.job) is None:
            return self._canceled(context, run)
        run.status, run.submitted = "submitted", context.now
        context.save()
        return 0.0

    def _withdraw(self, context: LoopContext, run: TrainingRun) -> float:
        """loop.yaml changed before a job was made: the run's name promises settings that a job would not have."""
        context.state.runs.remove(run)
        context.save()
        return 0.0

    def _refused(self, context: LoopContext, run: TrainingRun, error: VisionloopError) -> float:
        """Give up on what fails again, or fails for too long; let the rest be tried again."""
        patience = SUBMIT_PATIENCE if error.retryable else REFUSAL_PATIENCE
        passing = not isinstance(error, ConfigError) and context.now - run.intended < patience
        if passing or context.cloud.workspace.job(run.job) is not None:
            raise error
        found = classify(Evidence(("TransientError",) if error.retryable else (), error.detail))
        return self._fail(context, run, f"Azure ML did not take the job: {error.detail}", found)

    def _follow(self, context: LoopContext, run: TrainingRun) -> float:
        view = context.cloud.workspace.job(run.job)
        if view is None:
            return self._vanished(context, run)
        if view.phase == "canceled":
            return self._canceled(context, run, view)
        if view.phase == "failed":
            return self._failed(context, run, view)
        if view.phase == "completed":
            return self._complete(context, run, view)
        if run.cancel is not None and view.status != "CancelRequested":
            context.cloud.workspace.cancel(run.job)
        if (run.phase, run.started) != (view.status, view.started):
            run.phase, run.started = view.status, view.started
            context.save()
        return context.cloud.settings.poll_seconds

    def _vanished(self, context: LoopContext, run: TrainingRun) -> float:
        if run.submitted is not None and context.now - run.submitted < READ_LAG and not run.phase:
            return context.cloud.settings.poll_seconds
        return self._fail(context, run, f"The job {run.job} is no longer in Azure ML", failure("deleted"))

    def _complete(self, context: LoopContext, run: TrainingRun, view: JobView) -> float:
        child = context.cloud.workspace.best_child(run.job)
        if child is not None:
            return self._register(context, run, view, child)
        if view.ended is not None and context.now - view.ended < TAG_LAG:
            return context.cloud.settings.poll_seconds
        return self._failed(context, run, view)

    def _register(self, context: LoopContext, run: TrainingRun, view: JobView, child: BestChild) -> float:
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
            return self._fail(context, run, reason, failure("unknown"), view)
        self._record(context, run, view)
        run.status, run.best_child, run.metrics = "completed", child.run_id, dict(child.metrics)
        run.model, run.rollout = model, "pending"
        self._tell_completed(context, run, model)
        return 0.0

    def _tell_completed(self, context: LoopContext, run: TrainingRun, model: ModelRef) -> None:
        metric = primary_metric(context.config.training, context.state.version(run.dataset_version).task)
        score = f", {metric} {run.metrics[metric]:.3f}" if metric in run.metrics else ""
        reason = f"Training run {run.number} completed: best trial {run.best_child}{score}; {_cost(run)}"
        run.reason = context.state.reasons[self.name] = reason
        context.tell("training.completed", reason, metrics=run.metrics, **_about(run))
        registered = f"Model {model.name}:{model.version} is registered from trial {run.best_child}"
        context.tell("model.registered", registered, run=run.number, model=model.name, version=model.version)
        context.save()

    def _canceled(self, context: LoopContext, run: TrainingRun, view: JobView | None = None) -> float:
        """By us or outside; not trained again by itself, as somebody did not want it."""
        self._record(context, run, view)
        run.status, run.failure, run.help = "canceled", "cancelled", failure("cancelled").help
        where = run.cancel.signed if run.cancel else " in Azure ML, not by Visionloop"
        run.reason = context.state.reasons[self.name] = f"Training run {run.number} was cancelled{where}"
        context.tell("training.canceled", run.reason, dataset_version=run.dataset_version, **_about(run))
        context.save()
        return 0.0

    def _failed(self, context: LoopContext, run: TrainingRun, view: JobView) -> float:
        """The job failed, or says Completed though no trial of it did."""
        trials = context.cloud.workspace.trial_errors(run.job)
        told = [Evidence(t.codes, t.message) for t in trials]
        said = view.error or next((f"trial {t.trial}: {t.message}" for t in trials if t.message), "no reason is given")
        outcome = f"ended as {view.status}" if view.phase == "failed" else f"says {view.status}, but no trial of it did"
        found = classify(Evidence(view.codes, view.error), told)
        return self._fail(context, run, f"The job {outcome}: {said}", found, view)

    def _fail(
        self, context: LoopContext, run: TrainingRun, reason: str, found: Failure, view: JobView | None = None
    ) -> float:
        self._record(context, run, view)
        run.status, run.failure, run.help = "failed", found.kind, found.help
        run.reason = context.state.reasons[self.name] = reason
        told = {"failure": run.failure, "help": run.help, "dataset_version": run.dataset_version}
        context.tell("training.failed", f"{reason} ({run.failure}: {run.help})", **told, **_about(run))
        context.save()
        return 0.0

    def _record(self, context: LoopContext, run: TrainingRun, view: JobView | None) -> None:
        run.finished = (view.ended if view else None) or context.now
        if view is not None:
            run.phase, run.started = view.status, view.started or run.started
        budget.settle(run)


def _about(run: TrainingRun) -> dict[str, object]:
    """What every event of a run has: which it is, and what it costs."""
    estimated = {"estimated_gpu_hours": run.estimated_gpu_hours, "currency": run.currency}
    used = {} if run.gpu_hours is None else {"gpu_hours": run.gpu_hours, "cost": run.cost}
    return {"run": run.number, "job": run.job, "attempt": run.attempt, **estimated, **used}


def _cost(run: TrainingRun) -> str:
    return f"{run.gpu_hours or 0:.2f} GPU hours at most, {budget.amount(run.cost, run.currency)}"
