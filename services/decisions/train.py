"""When a training run is started. Each rule either holds the run back, with its numbers, or lets it pass.

The rules are asked in their order and the first that holds is the answer, so what a person reads is the nearest thing
to do. Times in reasons are points in time, not durations, so that an unchanged situation reads the same at every look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.decisions.decision import Decision, held
from services.loop_config import Training
from services.state import DatasetVersion, LoopState, TrainingRun

DAY = timedelta(days=1)
MONTH = timedelta(days=30)
LONGEST_WAIT = 6 * 3600.0
"""However far away the time is that a rule waits for, it is asked again after this many seconds."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules are asked about."""

    state: LoopState
    config_hash: str
    """Hash of all that changes the trained model on the newest dataset version; empty where there is none."""
    now: datetime
    misfit: str = ""
    """Why the training settings do not fit the version's task, where they do not."""

    @property
    def policy(self) -> Training:
        """The loop's training settings."""
        return self.state.config.config.training

    @property
    def version(self) -> DatasetVersion | None:
        """The newest registered dataset version."""
        return self.state.dataset

    @property
    def trained(self) -> TrainingRun | None:
        """The last completed run of the same task; a model of another task cannot be retrained, only replaced."""
        version = self.version
        return next((r for r in reversed(self.state.runs) if version and self._same_task(r, version)), None)

    def _same_task(self, run: TrainingRun, version: DatasetVersion) -> bool:
        trained_on = self.version_of(run)
        return run.status == "completed" and trained_on is not None and trained_on.task == version.task

    @property
    def new(self) -> int:
        """Distinct images labelled, or labelled anew, since the last completed run."""
        version = self.version
        base = self.version_of(self.trained) if self.trained else None
        if version is None or (base is not None and base.content_hash == version.content_hash):
            return 0
        return version.new_since_trained

    @property
    def wanted(self) -> bool:
        """Whether a person asked for a run: thresholds and cooldown are skipped, caps are not."""
        return self.state.train_now is not None

    @property
    def last_attempt(self) -> TrainingRun | None:
        """The last run on the newest version's content with the same settings."""
        version, runs = self.version, reversed(self.state.runs)
        return next((r for r in runs if version and self._is_same(r, version)), None)

    @property
    def attempt(self) -> int:
        """Which attempt the next run on this content with these settings would be."""
        return self.last_attempt.attempt + 1 if self.last_attempt else 1

    def _is_same(self, run: TrainingRun, version: DatasetVersion) -> bool:
        trained_on = self.version_of(run)
        same_data = trained_on is not None and trained_on.content_hash == version.content_hash
        return same_data and run.config_hash == self.config_hash

    def version_of(self, run: TrainingRun) -> DatasetVersion | None:
        """The dataset version that a run was trained on, while it is remembered."""
        return next((d for d in self.state.datasets if d.number == run.dataset_version), None)


Rule = Callable[[Facts], Decision | None]


def decide(facts: Facts) -> Decision:
    """Train the newest dataset version, or hold, with the reason."""
    return next(held(RULES, facts), None) or _start(facts)


def _paused(facts: Facts) -> Decision | None:
    return _hold(facts.state.paused) if facts.state.paused else None


def _one_at_a_time(facts: Facts) -> Decision | None:
    run = facts.state.active_run
    return _hold(f"Training run {run.number} is under way") if run else None


def _has_version(facts: Facts) -> Decision | None:
    if facts.version is not None:
        return None
    found, needed = facts.state.catalogue.labelled, facts.policy.first_threshold.images
    return _hold(f"No dataset version is registered yet; {found} of {needed} labelled images")


def _misfit(facts: Facts) -> Decision | None:
    return _hold(f"loop.yaml, training.{facts.misfit}") if facts.misfit else None


def _first_threshold(facts: Facts) -> Decision | None:
    version, policy = facts.version, facts.policy.first_threshold
    if version is None or facts.trained is not None or facts.wanted:
        return None
    missing = [f"{version.images} of {policy.images} labelled images"] if version.images < policy.images else []
    counts = {name: version.images_per_class.get(name, 0) for name in version.classes}
    short = {name: n for name, n in counts.items() if n < policy.per_class}
    missing += [f"class `{name}` has {n} of {policy.per_class}" for name, n in short.items()]
    numbers = {"have": version.images, "needed": policy.images, "classes": short, "per_class": policy.per_class}
    return _hold("; ".join(missing), **numbers) if missing else None


def _retrain_threshold(facts: Facts) -> Decision | None:
    version, trained = facts.version, facts.trained
    if version is None or trained is None or facts.wanted or not 0 < facts.new < needed_for_retrain(facts):
        return None
    return _short_of_new(facts, trained)


def _nothing_new(facts: Facts) -> Decision | None:
    """Apart from the threshold, as it is the ordinary course after a training run."""
    if facts.version is None or facts.trained is None or facts.wanted or facts.new:
        return None
    return _short_of_new(facts, facts.trained)


def _short_of_new(facts: Facts, trained: TrainingRun) -> Decision:
    new, needed = facts.new, needed_for_retrain(facts)
    since = f"since run {trained.number} (dataset version {trained.dataset_version})"
    return _hold(f"{new} of {needed} newly labelled images {since}", have=new, needed=needed)


def needed_for_retrain(facts: Facts) -> int:
    """Newly labelled images that start the next run: the smaller of the count and of the growth of the last version."""
    policy, trained = facts.policy.retrain_threshold, facts.trained
    if policy.growth is None or trained is None:
        return policy.new_images
    version = facts.version_of(trained)
    grown = math.ceil(round(policy.growth * version.images, 6)) if version else policy.new_images
    return max(1, min(policy.new_images, grown))


def _never_twice(facts: Facts) -> Decision | None:
    """Counts failed and canceled runs too: the same job on the same data would fail again, and be paid again."""
    run, order = facts.last_attempt, facts.state.train_now
    if run is None or run.active or (order is not None and order.again and run.status != "completed"):
        return None
    outcome = f"{run.status}: {run.reason}" if run.reason else run.status
    reason = f"Dataset version {run.dataset_version} was trained with these settings by run {run.number} ({outcome})"
    return _hold(f"{reason}; it takes new labels or other training settings", run=run.number)


def _cooldown(facts: Facts) -> Decision | None:
    ends = [r.finished for r in facts.state.runs if r.finished]
    over = max(ends, default=facts.now) + timedelta(seconds=facts.policy.cooldown_seconds)
    if not ends or over <= facts.now or facts.wanted:
        return None
    return _wait(f"The cooldown after the last run lasts until {_time(over)}", over, facts.now)


def _daily_cap(facts: Facts) -> Decision | None:
    cap = facts.policy.max_jobs_per_day
    begun = sorted(r.intended for r in facts.state.runs if r.intended > facts.now - DAY and not _never_began(r))
    if len(begun) < cap:
        return None
    said = f"{len(begun)} of {cap} training runs were started in the last 24 hours"
    if not cap:
        return _hold(f"{said}: max_jobs_per_day is 0")
    free = begun[len(begun) - cap] + DAY
    return _wait(f"{said}; the next may start at {_time(free)}", free, facts.now)


def _never_began(run: TrainingRun) -> bool:
    """A run that was given up before a job was made cost nothing."""
    return run.submitted is None and not run.active


def _budget(facts: Facts) -> Decision | None:
    cap, runs = facts.policy.max_gpu_hours_per_month, facts.state.runs
    used = machine_hours(runs, facts.now)
    if used < cap:
        return None
    said = f"{used:.1f} of {cap:g} machine hours were used in the last 30 days"
    leaves = [end + MONTH for r in runs if (end := r.finished) and end + MONTH > facts.now]
    again = min((min(leaves) - facts.now).total_seconds(), LONGEST_WAIT) if leaves else None
    return Decision(False, said, again, {"used": used, "cap": cap})


def machine_hours(runs: Sequence[TrainingRun], now: datetime) -> float:
    """Machine hours of the last 30 days: the part of each run's duration that lies in them, times its machines."""
    return sum(_hours(run, now) * run.machines for run in runs)


def _hours(run: TrainingRun, now: datetime) -> float:
    start = run.started or run.submitted
    if start is None:
        return 0.0
    inside = (run.finished or now) - max(start, now - MONTH)
    return max(inside.total_seconds(), 0.0) / 3600


RULES: Mapping[str, Rule] = {
    "paused": _paused,
    "active": _one_at_a_time,
    "no_version": _has_version,
    "config": _misfit,
    "first_threshold": _first_threshold,
    "nothing_new": _nothing_new,
    "retrain_threshold": _retrain_threshold,
    "never_twice": _never_twice,
    "cooldown": _cooldown,
    "daily_cap": _daily_cap,
    "budget": _budget,
}

QUIET = frozenset({"active", "no_version", "nothing_new"})
"""Rules whose holding is the ordinary course of things: shown on the status page, not told as an event."""

ANSWERS = frozenset({"never_twice"})
"""Rules whose holding answers a person who asked for a run; any other lets the request wait."""


def _start(facts: Facts) -> Decision:
    version, trained = facts.version, facts.trained
    if version is None:
        raise ValueError("a rule holds a loop without a dataset version")
    if facts.state.train_now is not None:
        why = f"A training run was asked for{facts.state.train_now.signed}"
    elif trained is None:
        policy = facts.policy.first_threshold
        why = f"{version.images} labelled images ({policy.images} needed), at least {policy.per_class} of every class"
    else:
        needed = needed_for_retrain(facts)
        why = f"{facts.new} newly labelled images since run {trained.number} ({needed} needed)"
    return Decision(True, f"{why}: dataset version {version.number} is trained", facts={"version": version.number})


def _hold(reason: str, **facts: object) -> Decision:
    return Decision(False, reason, facts=facts)


def _wait(reason: str, until: datetime, now: datetime) -> Decision:
    again = max(1.0, min((until - now).total_seconds(), LONGEST_WAIT))
    return Decision(False, reason, again)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
