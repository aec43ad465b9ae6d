"""The kinds of events that are told, and the patterns by which a receiver chooses among them."""

from __future__ import annotations

from fnmatch import fnmatchcase

PREFIX = "visionloop."
KINDS = {
    "config.changed": "loop.yaml has changed and is taken over",
    "config.rejected": "loop.yaml is wrong; the last good one holds",
    "task.inferred": "the task and classes were inferred from the labels",
    "catalogue.problems": "uploads were left out, or classes are named alike: file, place, expected and found",
    "dataset.registered": "a dataset version is registered in Azure ML",
    "dataset.archived": "an old dataset version was archived, as loop.yaml asks, and its files deleted",
    "training.started": "a training job was submitted",
    "training.waiting": "a training job has waited long for a machine, told once",
    "training.completed": "a training job ended with a model",
    "training.failed": "a training job ended without one",
    "training.dry_run": "what would have been submitted, were training.dry_run false",
    "training.requested": "a person asked for a training job, whatever the thresholds",
    "training.canceling": "a person asked to cancel a training job",
    "training.canceled": "a training job was cancelled, here or in Azure ML",
    "training.held": "a rule holds the next training job back, told once a reason",
    "model.registered": "the best model of a job is registered",
    "rollout.started": "a candidate is being deployed beside the champion",
    "rollout.evaluated": "both slots have answered the holdout, with their scores",
    "rollout.approval_requested": "a better challenger waits for a person's yes, by the link in it",
    "rollout.ordered": "a person promotes, takes back, holds, resumes, approves or refuses a rollout",
    "rollout.mirror": "a share of the predictions is copied to the challenger, whose answers go to nobody",
    "rollout.canary": "a share of the predictions goes to the challenger",
    "rollout.promoted": "the challenger is live",
    "rollout.rejected": "the champion stays live",
    "rollout.failed": "a step of the rollout failed; the champion stays live",
    "loop.paused": "a person paused the loop: nothing new is started",
    "loop.resumed": "a person let the loop go on",
    "rollout.rolled_back": "the champion before has the traffic again: by a breach, with its numbers, or by a person",
    "endpoint.asleep": "nobody asked for a prediction: the endpoint rests, and costs nothing or less",
    "endpoint.awake": "the endpoint answers again",
    "endpoint.lost": "somebody changed the live slot outside of Visionloop: what is wrong, and what is done about it",
    "endpoint.restored": "the live slot is as it was left again",
    "prediction.done": "a prediction asked for with respond-async is made, or failed; told to the webhook named only",
    "inbound.failed": "what a labelling tool announced could not be taken: why, and whether it is tried again",
    "loop.error": "a step of the controller failed and is tried again",
    "webhook.disabled": "a receiver has only failed for five days, and is told nothing more",
    "webhook.test": "you asked for a test",
}
"""Without their prefix, with a sentence each; a CloudEvent's type is `visionloop.` and one of these."""


def matches(pattern: str, kind: str) -> bool:
    """Whether a pattern such as `training.*` is about a kind; the prefix may be written or left out."""
    return fnmatchcase(kind.removeprefix(PREFIX), pattern.removeprefix(PREFIX))


def is_pattern(pattern: str) -> bool:
    """Whether a pattern is about any kind at all: a misspelt one would never fire."""
    return any(matches(pattern, kind) for kind in KINDS)
