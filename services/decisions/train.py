"""When a training run is started. Each rule either holds the run back, with its numbers, or lets it pass.

The rules are asked in their order and the first that holds is the answer, so what a person reads is the nearest thing
to do. Times in reasons are points in time, not durations, so that an unchanged situation reads the same at every look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from services.decisions import budget
from services.decisions.budget import MONTH
from services.decisions.decision import Decision, held
from services.decisions.register import FEWEST_IMAGES
from services.decisions.train_facts import Facts
from services.state import TrainingRun

DAY = timedelta(days=1)
PREFLIGHT_AGAIN = timedelta(minutes=5)
LONGEST_BACKOFF = 24 * 3600.0
LONGEST_WAIT = 6 * 3600.0
"""However far away the time is that a rule waits for, it is asked again after this many seconds."""


Rule = Callable[[Facts], Decision | None]


def decide(facts: Facts) -> Decision:
    """Train the newest dataset version, or hold, with the reason."""
    return next(held(RULES, facts), None) or _start(facts)


def _paused(facts: Facts) -> Decision | None:
    return _hold(facts.state.paused) if facts.state.paused else None


def _one_at_a_time(facts: Facts) -> Decision | None:
    run = facts.state.active_run
    if run is None:
        return None
    since = f" since {_time(run.started)}" if run.started else ", and waits for its machine" if run.submitted else ""
    stops = f"; it is to be cancelled{run.cancel.signed}" if run.cancel else ""
    return _hold(run.waiting or f"Training run {run.number} is under way{since}{stops}")


def _has_version(facts: Facts) -> Decision | None:
    if facts.version is not None:
        return None
    found, needed = facts.state.catalogue.labelled, facts.policy.first_threshold.images
    have = f"{found} of {needed} labelled images" if found < needed else f"{found} labelled images, {needed} needed"
    return _hold(f"No dataset version is registered yet; {have}")


def _misfit(facts: Facts) -> Decision | None:
    return _hold(f"loop.yaml, training.{facts.misfit}") if facts.misfit else None


def _first_threshold(facts: Facts) -> Decision | None:
    version, policy = facts.version, facts.policy.first_threshold
    if version is None or facts.trained is not None or facts.urged:
        return None
    missing = [f"{version.images} of {policy.images} labelled images"] if version.images < policy.images else []
    counts = {name: version.images_per_class.get(name, 0) for name in version.classes}
    short = {name: n for name, n in counts.items() if n < policy.per_class}
    missing += [f"class `{name}` has {n} of {policy.per_class}" for name, n in short.items()]
    numbers = {"have": version.images, "needed": policy.images, "classes": short, "per_class": policy.per_class}
    return _hold("; ".join(missing), **numbers) if missing else None


def _retrain_threshold(facts: Facts) -> Decision | None:
    version, trained = facts.version, facts.trained
    if version is None or trained is None or facts.urged or not 0 < facts.new < needed_for_retrain(facts):
        return None
    return _short_of_new(facts, trained)


def _nothing_new(facts: Facts) -> Decision | None:
    """Apart from the threshold, as it is the ordinary course after a training run."""
    if facts.version is None or facts.trained is None or facts.urged or facts.new:
        return None
    return _short_of_new(facts, facts.trained)


def _short_of_new(facts: Facts, trained: TrainingRun) -> Decision:
    new, needed = facts.new, needed_for_retrain(facts)
    since = f"since run {trained.number} (dataset version {trained.dataset_version})"
    return _hold(f"{new} of {needed} newly labelled images {since}", have=new, needed=needed)


def needed_for_retrain(facts: Facts) -> int:
    """Newly labelled images that start the next run: the smaller of the count and of the growth of the last version."""
    policy, trained = facts.policy.retrain_threshold, facts.trained
    version = facts.version_of(trained) if trained else None
    if policy.growth is None or version is None:
        return policy.new_images
    return max(1, min(policy.new_images, math.ceil(round(policy.growth * version.images, 6))))


def _class_floor(facts: Facts) -> Decision | None:
    """A class that lost its labels, or is new with hardly any, would spoil the next model."""
    version, floor = facts.version, facts.policy.retrain_threshold.per_class
    if version is None or facts.trained is None or facts.urged:
        return None
    counts = {name: version.images_per_class.get(name, 0) for name in version.classes}
    short = {name: n for name, n in counts.items() if n < floor}
    missing = [f"class `{name}` has {n} of {floor}" for name, n in short.items()]
    return _hold("; ".join(missing), classes=short, per_class=floor) if missing else None


def _minimum(facts: Facts) -> Decision | None:
    """What AutoML refuses after minutes that are paid; not even a person who asks gets past it."""
    version = facts.version
    if version is None:
        return None
    labelled = [name for name in version.classes if version.images_per_class.get(name)]
    least = 2 if version.task == "image_classification" else 1
    missing = [
        f"{version.images} of {FEWEST_IMAGES} images" if version.images < FEWEST_IMAGES else "",
        f"{len(labelled)} of {least} classes with images" if len(labelled) < least else "",
        "no image for training" if not version.train_images else "",
        "no image for validation" if not version.validation_images else "",
    ]
    short = "; ".join(filter(None, missing))
    return _hold(f"Azure ML's AutoML would refuse dataset version {version.number}: {short}") if short else None


def _never_twice(facts: Facts) -> Decision | None:
    """Counts failed and canceled runs too: the same job on the same data would fail again, and be paid again."""
    run, order = facts.last_attempt, facts.state.train_now
    if run is None or run.active or facts.retry or (order and order.again and run.status != "completed"):
        return None
    outcome = f"{run.status}: {run.reason}" if run.reason else run.status
    reason = f"Dataset version {run.dataset_version} was trained with these settings by run {run.number} ({outcome})"
    instead = "" if run.status == "completed" else ", or to train with again: true"
    helps = f". What helps: {run.help}" if run.help and run.status != "completed" else ""
    return _hold(f"{reason}; it takes new labels or other training settings{instead}{helps}", run=run.number)


def _backoff(facts: Facts) -> Decision | None:
    """Later and later: what has not passed by then may take longer."""
    run, retries = facts.retry, facts.policy.retries
    if run is None or run.finished is None or facts.wanted:
        return None
    over = run.finished + timedelta(seconds=min(retries.backoff_seconds * 2 ** (run.attempt - 1), LONGEST_BACKOFF))
    if over <= facts.now:
        return None
    said = f"Run {run.number} failed in a way that passes ({run.reason}); attempt {facts.attempt} of {retries.most + 1}"
    return _wait(f"{said} begins at {_time(over)}", over, facts.now)


def _cooldown(facts: Facts) -> Decision | None:
    ends = [r.finished for r in facts.state.runs if r.finished]
    over = max(ends, default=facts.now) + timedelta(seconds=facts.policy.cooldown_seconds)
    if not ends or over <= facts.now or facts.urged:
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
    runs, limits, next_run = facts.state.runs, facts.policy.budget, facts.estimate
    if limits.money_per_month is not None and next_run.cost is None:
        return _hold(
            f"The price of {facts.policy.compute.size} is not known, so training.budget.money_per_month cannot be "
            "kept: set training.budget.price_per_gpu_hour, or VISIONLOOP_MACHINE_PRICES",
            estimate=next_run.gpu_hours,
        )
    used, spent = budget.gpu_hours(runs, facts.now), budget.money(runs, facts.now)
    said = [_sum(used, next_run.gpu_hours, limits.gpu_hours_per_month, "GPU hours")]
    if limits.money_per_month is not None and next_run.cost is not None:
        said.append(_sum(spent, next_run.cost, limits.money_per_month, limits.currency))
    if not any(said):
        return None
    leaves = [end + MONTH for r in runs if (end := r.finished) and end + MONTH > facts.now]
    again = min((min(leaves) - facts.now).total_seconds(), LONGEST_WAIT) if leaves else None
    reason = f"{'; '.join(filter(None, said))} (estimate: {next_run.basis})"
    return Decision(False, reason, again, {"used": used, "estimate": next_run.gpu_hours, "spent": spent})


def _sum(used: float, estimated: float, cap: float, unit: str) -> str:
    """The sum that goes beyond a cap, in words; empty where it does not."""
    total = used + estimated
    if total <= cap:
        return ""
    return f"{used:.1f} {unit} of the last 30 days and {estimated:.1f} for this run are {total:.1f} of {cap:g}"


def _preflight(facts: Facts) -> Decision | None:
    """Looked at again after a while, or at once where a person asks or what would be trained has changed.

    And where the clock went back: it would hold the run for as long as it went.
    """
    found, order = facts.state.preflight, facts.state.train_now
    if found is None or found.key != facts.key or (order is not None and order.at > found.at):
        return None
    over = found.at + PREFLIGHT_AGAIN
    return _wait("; ".join(found.problems), over, facts.now) if found.at <= facts.now < over else None


def _dry_run(facts: Facts) -> Decision | None:
    if not facts.policy.dry_run or facts.state.rehearsed != facts.key:
        return None
    return _hold("Dry run: the job was told instead of submitted, as training.dry_run is true")


RULES: Mapping[str, Rule] = {
    "paused": _paused,
    "active": _one_at_a_time,
    "no_version": _has_version,
    "config": _misfit,
    "first_threshold": _first_threshold,
    "nothing_new": _nothing_new,
    "retrain_threshold": _retrain_threshold,
    "class_floor": _class_floor,
    "minimum": _minimum,
    "never_twice": _never_twice,
    "backoff": _backoff,
    "cooldown": _cooldown,
    "daily_cap": _daily_cap,
    "budget": _budget,
    "preflight": _preflight,
    "dry_run": _dry_run,
}

QUIET = frozenset({"active", "no_version", "nothing_new", "dry_run"})
"""Rules whose holding is the ordinary course of things: shown on the status page, not told as an event."""

ANSWERS = frozenset({"never_twice", "dry_run"})
"""Rules whose holding answers a person who asked for a run; any other lets the request wait."""


def _start(facts: Facts) -> Decision:
    version, trained = facts.version, facts.trained
    if version is None:
        raise ValueError("a rule holds a loop without a dataset version")
    if facts.state.train_now is not None:
        why = f"A training run was asked for{facts.state.train_now.signed}"
    elif facts.retry is not None:
        most = facts.policy.retries.most + 1
        why = f"Attempt {facts.attempt} of {most} after run {facts.retry.number}, which failed in a way that passes"
    elif trained is None:
        policy = facts.policy.first_threshold
        why = f"{version.images} labelled images ({policy.images} needed), at least {policy.per_class} of every class"
    else:
        needed = needed_for_retrain(facts)
        why = f"{facts.new} newly labelled images since run {trained.number} ({needed} needed)"
    return Decision(True, f"{why}: dataset version {version.number} is trained")


def _hold(reason: str, **facts: object) -> Decision:
    return Decision(False, reason, facts=facts)


def _wait(reason: str, until: datetime, now: datetime) -> Decision:
    again = max(1.0, min((until - now).total_seconds(), LONGEST_WAIT))
    return Decision(False, reason, again)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
