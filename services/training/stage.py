"""Starts training runs and follows them to a registered model. At most one paid job for one dataset and config.

    decide ─▶ record the run as intended ─▶ save ─▶ submit under its name ─▶ record as submitted ─▶ save
                                                 ▲ a crash here or after meets the same name again and adopts the job

A run stays active until its model is registered, so a crash between the two only repeats calls that are safe to repeat.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from services.context import LoopContext
from services.decisions import budget, train
from services.decisions.failures import Evidence, classify
from services.decisions.train_facts import Facts
from services.errors import ConfigError, VisionloopError
from services.names import job_name
from services.state import DatasetVersion, Preflight, TrainingRun
from services.training import outcome
from services.training.code import command_spec, downloaded
from services.training.facts import facts_of
from services.training.follow import READ_LAG, follow
from services.training.job import compute_spec, config_hash, job_spec
from services.training.preflight import preflight

SUBMIT_PATIENCE = timedelta(hours=1)
"""A job that Azure ML could not take for this long is given up."""
REFUSAL_PATIENCE = timedelta(minutes=10)
"""The same where it refuses the job: a cluster still being created, or a role just assigned, refuses for minutes."""


class TrainingStage:
    """At most one run at a time: from the decision to the registered model."""

    name = outcome.STAGE

    def step(self, context: LoopContext) -> float | None:
        """Make one step: start a run, submit it, or look at its job.

        Raises:
            Upstream: Azure ML fails in a way that may pass.
        """
        run = context.state.active_run
        if run is None:
            return self._consider(context)
        if run.status == "submitted":
            return follow(context, run)
        return self._submit(context, run) if run.cancel is None else self._cancel_unsent(context, run)

    def _consider(self, context: LoopContext) -> float | None:
        version = context.state.dataset
        facts = facts_of(context.state, context.now, context.cloud.settings.machine_prices)
        decision = train.decide(facts)
        if not decision.act or version is None:
            self._hold(context, decision.reason, str(decision.facts.get("rule", "")))
            return decision.again_in
        if problems := preflight(context, version):
            return self._not_ready(context, facts, problems)
        if context.config.training.dry_run:
            return self._rehearse(context, version, facts, decision.reason)
        self._intend(context, version, facts, decision.reason)
        return 0.0

    def _not_ready(self, context: LoopContext, facts: Facts, problems: list[str]) -> float:
        """The rule `preflight` holds from now on, and tells it."""
        context.state.preflight = Preflight(key=facts.key, at=context.now, problems=problems)
        context.save()
        return 0.0

    def _rehearse(self, context: LoopContext, version: DatasetVersion, facts: Facts, reason: str) -> float:
        """Tell of the job instead of submitting it; the rule `dry_run` holds from now on."""
        make = command_spec if context.config.training.kind == "command" else job_spec
        spec = asdict(make(context.loop, context.config, version, _run(context, version, facts, reason)))
        next_run, currency = facts.estimate, context.config.training.budget.currency
        cost = budget.amount(next_run.cost, currency)
        said = (
            f"Dry run: job {spec['name']} on {spec['compute']} would be submitted, about {next_run.gpu_hours:.2f} GPU "
        )
        told = {"estimated_gpu_hours": next_run.gpu_hours, "estimated_cost": next_run.cost, "currency": currency}
        context.tell("training.dry_run", f"{said}hours, {cost}. {reason}", job=spec["name"], parameters=spec, **told)
        context.state.rehearsed, context.state.train_now = facts.key, None
        context.save()
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
        context.state.runs.append(_run(context, version, facts, reason))
        context.state.train_now = context.state.preflight = None
        context.state.reasons[self.name] = reason
        context.save()

    def _submit(self, context: LoopContext, run: TrainingRun) -> float:
        workspace = context.cloud.workspace
        version = context.state.version(run.dataset_version)
        if run.silent_since is not None:
            return self._look_once_more(context, run, run.silent_since)
        try:
            if not context.state.paused and _hash_now(context, version) == run.config_hash:
                workspace.ensure_compute(compute_spec(context.config.training))
                _send(context, version, run)
            elif workspace.job(run.job) is None:
                return self._withdraw(context, run)
        except VisionloopError as error:
            return self._refused(context, run, error)
        return self._submitted(context, run, version)

    def _submitted(self, context: LoopContext, run: TrainingRun, version: DatasetVersion) -> float:
        run.status, run.submitted, run.waiting, run.silent_since = "submitted", context.now, "", None
        context.state.reasons[self.name] = f"Training run {run.number} is under way: {run.reason}"
        context.tell("training.started", run.reason, dataset_version=version.number, **outcome.about(run))
        context.save()
        return context.cloud.settings.poll_seconds

    def _cancel_unsent(self, context: LoopContext, run: TrainingRun) -> float:
        """Cancelled between intent and submission: the job may have been made by a process that died after it."""
        if context.cloud.workspace.job(run.job) is None:
            visible = context.now - (run.silent_since or run.intended) >= READ_LAG
            return outcome.cancel(context, run) if visible else context.cloud.settings.poll_seconds
        run.status, run.submitted = "submitted", context.now
        context.save()
        return 0.0

    def _withdraw(self, context: LoopContext, run: TrainingRun) -> float:
        """The loop was paused, or loop.yaml changed, before a job was made.

        The run's name promises settings that a job would not have. A submission whose answer was lost may show late:
        withdrawn at once, its job would be paid and followed by nobody, beside another one of the new settings.
        """
        if context.now - run.intended < READ_LAG:
            return context.cloud.settings.poll_seconds
        context.state.runs.remove(run)
        context.state.train_now = run.asked
        context.save()
        return 0.0

    def _refused(self, context: LoopContext, run: TrainingRun, error: VisionloopError) -> float:
        """Give up on what fails again, or fails for too long; let the rest be tried again."""
        patience = SUBMIT_PATIENCE if error.retryable else REFUSAL_PATIENCE
        passing = not isinstance(error, ConfigError) and context.now - run.intended < patience
        if passing or context.cloud.workspace.job(run.job) is not None:
            raise error
        said = f"Azure ML did not take the job: {error.detail}"
        if error.retryable:
            run.waiting, run.silent_since = said, context.now
            context.save()
            return context.cloud.settings.poll_seconds
        return outcome.fail(context, run, said, classify(Evidence((), error.detail)))

    def _look_once_more(self, context: LoopContext, run: TrainingRun, since: datetime) -> float:
        """Its answer may be lost and the job show late: given up at once, its repetition would be a second paid job."""
        if context.cloud.workspace.job(run.job) is not None:
            return self._submitted(context, run, context.state.version(run.dataset_version))
        if context.now - since < READ_LAG:
            return context.cloud.settings.poll_seconds
        return outcome.fail(context, run, run.waiting, classify(Evidence(("TransientError",), run.waiting)))


def _hash_now(context: LoopContext, version: DatasetVersion) -> str:
    return config_hash(context.config, version, context.state.catalogue.code_digest)


def _send(context: LoopContext, version: DatasetVersion, run: TrainingRun) -> None:
    """Submit the job of a run, a script's files with it."""
    workspace, config = context.cloud.workspace, context.config
    if config.training.kind == "automl":
        workspace.submit(job_spec(context.loop, config, version, run))
        return
    spec = command_spec(context.loop, config, version, run)
    with downloaded(context.cloud.data, context.loop, context.state.catalogue.code_digest) as folder:
        workspace.submit_command(spec, folder)


def _run(context: LoopContext, version: DatasetVersion, facts: Facts, reason: str) -> TrainingRun:
    """The run that a decision stands for, under its deterministic name."""
    training = context.config.training
    return TrainingRun(
        number=max((r.number for r in context.state.runs), default=0) + 1,
        job=job_name(context.loop, version.content_hash, facts.config_hash, facts.attempt),
        dataset_version=version.number,
        images=version.images,
        pace=facts.pace,
        config_hash=facts.config_hash,
        attempt=facts.attempt,
        asked=context.state.train_now,
        machines=budget.machines(training),
        gpus=facts.machine.gpus,
        price_per_gpu_hour=budget.price_per_gpu_hour(training, facts.machine),
        currency=training.budget.currency,
        estimated_gpu_hours=facts.estimate.gpu_hours,
        timeout_minutes=training.limits.timeout_minutes,
        intended=context.now,
        reason=reason,
    )
