"""Kinds of failures, by messages as Azure ML gave them (source beside each), and by codes alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions.failures import HELP, Evidence, classify, failure, ran_out
from services.state import FailureKind

SEEN = [
    # microsoft/MLOpsPython #346
    (["UserError"], "AzureMLCompute job failed. PreemptionError: Nodes of this job got pre-empted.", "transient"),
    # swatig007/automlForImages #19
    (["UserError", "InvalidData", "ValidationError", "InvalidData"], "Could not download dataset", "bad_data"),
    # Azure/azureml-examples #2946, #1382
    (
        ["SystemError"],
        "Encountered an internal AutoML Image error. Error Message/Code: . Traceback: utils.py",
        "unknown",
    ),
    (
        ["SystemError"],
        "Encountered an internal AutoML Image error. Traceback: dataset_helper.py, in _validate_image_column",
        "bad_data",
    ),
    # MicrosoftLearning/mslearn-dp100 #35
    (
        ["UserError"],
        (
            "Job submission to AzureML Compute encountered an Exception with status code JobNodeCountExceedsCoreQuota, The "
            "specified subscription has a Standard DSv2 family vCPU quota of 2"
        ),
        "quota",
    ),
    (["ClusterCoreQuotaReached"], "Operation results in exceeding quota limits of Total Cluster Dedicated", "quota"),
    # MicrosoftDocs/azure-docs #68561
    ([], "The specified account has reached VM Series core quota", "quota"),
    (["QuotaExceeded"], "", "quota"),
    (["AllocationFailed"], "We do not have sufficient resources in this region", "capacity"),
    ([], "Allocation failed. We do not have sufficient capacity for the requested VM size in this region.", "capacity"),
    (["SkuNotAvailable"], "The requested size is not available in location eastus", "capacity"),
    (["UserError"], "AzureMLCompute job failed. ExecutionFailed: exit code 1", "user_script"),
    (["UserError"], "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", "user_script"),
    (["UserError"], "The command ended with 3: no such file", "user_script"),
    (["UserError"], "train_annotations.jsonl, line 3: topX is 1.4", "bad_data"),
    (["UserError"], "AutoML needs at least 10 images, found 4", "bad_data"),
    (["ServiceError"], "InternalServerError", "transient"),
    (["ServiceError"], "", "transient"),
    (["SystemError"], "Something went wrong", "transient"),
    (["RequestThrottled"], "slow down", "transient"),
    (["TransientError"], "", "transient"),
    (["UserError"], "You did something wrong", "user_script"),
    # Azure/MachineLearningNotebooks #1479, MicrosoftLearning/mslearn-dp100 #77
    (
        ["ServiceError"],
        "AzureMLCompute job failed. FailedPullingImage: Unable to pull docker image: unauthorized: authentication required",
        "access",
    ),
    # microsoft/physical-ai-toolchain, evaluation/azureml-validation-job-debugging
    (["ScriptExecution.StreamAccess.Authentication"], "permission denied when access stream", "access"),
    (["SystemError"], "AzureMLCompute job failed. InvalidContainerRegistryCredentials: not authorized", "access"),
    (["UserError"], "This request is not authorized to perform this operation using this permission.", "access"),
    (["TransientError"], "Submitting job x: Azure does not accept the app's identity", "access"),
    (["UserError"], "PermissionError: [Errno 13] Permission denied: '/opt/x'", "user_script"),
    (["UserError"], "OSError: [Errno 122] Disk quota exceeded", "user_script"),
    # the local cloud's words; Azure ML publishes none
    (["UserError"], "The job exceeded its time limit of PT1M", "timeout"),
    (["ServiceError"], "The operation timed out: RequestTimeout", "transient"),
    (["Nonsense"], "", "unknown"),
    ([], "", "unknown"),
]


@pytest.mark.parametrize(("codes", "message", "kind"), SEEN)
def test_messages_as_they_are_seen(codes: list[str], message: str, kind: FailureKind) -> None:
    assert classify(Evidence(codes, message)).kind == kind


def test_a_parent_without_words_is_judged_by_its_trials() -> None:
    trials = [Evidence(["UserError", "InvalidData"], "image 7 is broken"), Evidence(["SystemError"], "")]
    assert classify(Evidence(), trials).kind == "bad_data"


def test_a_sign_in_a_trial_says_more_than_the_parents_code() -> None:
    trials = [Evidence(["UserError"], "CUDA out of memory")]
    assert classify(Evidence(["SystemError"], "All trials failed"), trials).kind == "user_script"


def test_only_what_passes_by_itself_is_repeated() -> None:
    assert {kind for kind in get_args(FailureKind) if failure(kind).passes} == {"transient"}


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "minutes", "expected"),
    [(600, 10, True), (588, 10, True), (587, 10, False), (601, 10, True), (0, 10, False), (9999, 0, False), (9999, None, False)],
)  # fmt: skip
def test_a_job_that_ran_as_long_as_it_may_was_cancelled_by_its_limit(
    seconds: float, minutes: int | None, expected: bool
) -> None:
    assert ran_out(NOON, NOON + timedelta(seconds=seconds), minutes) is expected


def test_without_times_nothing_is_said_of_a_limit() -> None:
    assert not ran_out(None, NOON, 1)
    assert not ran_out(NOON, None, 1)


def test_every_kind_has_help() -> None:
    assert set(HELP) == set(get_args(FailureKind))
    assert all(len(text) > 20 for text in HELP.values())
    assert {kind: failure(kind).help for kind in get_args(FailureKind)} == HELP


@given(st.lists(st.text(max_size=30), max_size=5), st.text(max_size=200))
def test_whatever_azure_says_there_is_a_kind(codes: list[str], message: str) -> None:
    assert classify(Evidence(codes, message)).kind in get_args(FailureKind)
