"""Why a training run failed, in one of a few kinds, and what to do about it: from Azure's codes, words and trials.

Codes are an error's own and those nested in it. The outer ones that the run history's API knows are ServiceError,
UserError, ValidationError, AzureStorageError, TransientError and RequestThrottled (`RootError` in azure-ai-ml); they
say who is to blame at most, and wrongly at times: a preempted node is a UserError (microsoft/MLOpsPython #346), a bad
label file a SystemError (Azure/azureml-examples #1382). So signs in codes and words are looked for first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.state import FailureKind


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a failure: codes from the outside in, and the message."""

    codes: Sequence[str] = ()
    message: str = ""

    @property
    def text(self) -> str:
        """All of it, to look for signs in."""
        return " ".join([*self.codes, self.message])


@dataclass(frozen=True, slots=True)
class Failure:
    """A kind, whether it may pass by itself, and what a person can do."""

    kind: FailureKind
    help: str

    @property
    def passes(self) -> bool:
        """Whether the same run may succeed later without anybody's doing."""
        return self.kind == "transient"


HELP: Mapping[FailureKind, str] = {
    "access": "Give the cluster's or the app's identity the role that the message asks for, on storage, registry or "
    "workspace, or have the subscription allow it; then train with again: true",
    "quota": "Ask for more quota of this VM family in the workspace's region, or set training.compute.size and "
    "max_nodes to what there is; then train with again: true",
    "capacity": "The region has no such machines just now: train with again: true later, or choose another "
    "training.compute.size",
    "bad_data": "Mend the images or labels that the message names; the next dataset version is trained by itself",
    "user_script": "Mend the training settings, or the script, that the message names; less memory is used with a "
    "smaller training_batch_size or image_size",
    "timeout": "Give it longer with training.limits.timeout_minutes, or less to do: fewer epochs or trials, smaller "
    "images, a faster training.compute.size",
    "transient": "Nothing: Azure failed in a way that passes, and the run is repeated",
    "cancelled": "Nothing, if it was meant; else train with again: true",
    "deleted": "The job was deleted in Azure ML; train with again: true",
    "unknown": "Look at the job's logs in the studio; train with again: true once the cause is mended",
}
"""What to do about each kind."""

_SIGNS: Mapping[FailureKind, str] = {
    # before all others: it comes in the words of a data stream, or of an image that could not be pulled
    "access": r"""
        StreamAccess\.Authentication AuthenticationException (?<!\w)unauthorized AuthenticationFailed
        AuthorizationFailed AuthorizationPermissionMismatch not\sauthorized\sto\sperform RequestDisallowedByPolicy
        InvalidContainerRegistryCredentials permission\sdenied\swhen\saccess DataAccessError\(PermissionDenied
        ReadOnlyDisabledSubscription does\snot\saccept\sthe\sapp's\sidentity
    """,
    # ClusterCoreQuotaReached, JobNodeCountExceedsCoreQuota, "reached VM Series core quota"
    "quota": r"(?<!disk\s)quota",
    "capacity": r"""
        AllocationFailed Allocation\sfailed OverconstrainedAllocation SkuNotAvailable InsufficientCapacity
        OutOfCapacity (insufficient|not\senough|no|lacks?)\scapacity
    """,
    "timeout": r"""
        (time|duration)\slimit ExperimentTimeout experiment\stimeout maximum\s(run|execution|running)\s?(time|duration)
    """,
    "transient": r"""
        pre-?empt NodeLost node\s(was\s)?(lost|evicted) NodeUnusable InternalServerError ServiceUnavailable
        service\s(is\s)?(temporarily\s)?unavailable GatewayTimeout TooManyRequests throttl RequestTimeout
        TransientError OperationTimedOut connection\s(was\s)?(reset|aborted|refused) temporarily\sunavailable
    """,
    "bad_data": r"""
        InvalidData DataValidation BadData InsufficientData DataNotFound DatasetNotFound StreamAccess WriteStreams
        _validate_image_column mltable jsonl image_url annotation corrupt cannot\sidentify\simage
        could\snot\s(download|read|decode)\s(data|image|the\simage) needs\sat\sleast\s\d+\simages label\scolumn
    """,
    "user_script": r"""
        OutOfMemory out\sof\smemory ExitCode exit\scode exited\swith ended\swith\s\d ModuleNotFoundError ImportError
        ExecutionFailed UserScript UserProcessKilled ImageBuild docker\simage
    """,
    # says SystemError, and is about the job's own input as often as not
    "unknown": r"internal\sAutoML",
}
_PATTERNS = {kind: re.compile("|".join(signs.split()), re.IGNORECASE) for kind, signs in _SIGNS.items()}

_BLAMES: Mapping[str, FailureKind] = {
    "usererror": "user_script",
    "validationerror": "user_script",
    "systemerror": "transient",
    "serviceerror": "transient",
    "azurestorageerror": "transient",
    "transienterror": "transient",
    "requestthrottled": "transient",
}

SLACK = 0.98
"""Of its limit a job must have run so much to be taken as timed out."""


def classify(evidence: Evidence, trials: Iterable[Evidence] = ()) -> Failure:
    """The kind of a failure: by signs in the job's own words, then in its trials', then by whom the codes blame."""
    told = [evidence, *trials]
    signed = [kind for one in told for kind, pattern in _PATTERNS.items() if pattern.search(one.text)]
    blamed = [_BLAMES[code.lower()] for one in told for code in one.codes if code.lower() in _BLAMES]
    return failure(next(iter([*signed, *blamed]), "unknown"))


def ran_out(started: datetime | None, ended: datetime | None, minutes: int | None) -> bool:
    """Whether a job was cancelled by its own limit, as Azure ML does without saying so: it ran that long.

    Azure ML notes the job's begin a little later than it counts from, so a fiftieth of the limit may be missing.
    """
    if started is None or ended is None or not minutes:
        return False
    return (ended - started).total_seconds() >= SLACK * 60 * minutes


def failure(kind: FailureKind) -> Failure:
    """A failure whose kind is known."""
    return Failure(kind, HELP[kind])
