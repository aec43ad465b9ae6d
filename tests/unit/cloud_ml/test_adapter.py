"""What AzureWorkspace makes of the SDK's objects and errors, without a cloud; tests/integration/workspace has the rest."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import pytest

from services.cloud.ml_client import translated
from services.cloud.ml_endpoints import _name_and_version, _state
from services.cloud.ml_jobs import automl_job
from services.cloud.ml_training import _time
from services.cloud.ports.training import AutoMLJobSpec, EarlyTerminationSpec
from services.distributions import Distribution
from services.errors import (
    Conflict,
    NotFound,
    Upstream,
    UpstreamBusy,
    UpstreamRefused,
    UpstreamTimeout,
    VisionloopError,
)
from services.training.search_space import read_space

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import azure.ai.ml.exceptions as sdk_errors
    from azure.core import exceptions as azure


class Answer:
    """As much of a response as azure-core's errors look at."""

    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.status_code, self.headers, self.reason = status, headers or {}, "Said so"

    def text(self, encoding: str | None = None) -> str:
        return '{"error": {"code": "UserError", "message": "it is so; sig=HUSHHUSH"}}'

    def body(self) -> bytes:
        return self.text().encode()


def spec(**changes: Any) -> AutoMLJobSpec:
    fields: dict[str, Any] = {
        "name": "vl-nuts-0123456789ab",
        "experiment": "visionloop-nuts",
        "task": "object_detection",
        "train": "train:1",
        "validation": "validation:1",
        "compute": "gpu-cluster",
        "primary_metric": "mean_average_precision",
        "max_trials": 4,
        "max_concurrent_trials": 2,
        "timeout_minutes": 90,
        "trial_timeout_minutes": 30,
        "sampling": "random",
        "tags": {"visionloop_loop": "nuts"},
    }
    return AutoMLJobSpec(**fields | changes)


def body(made: AutoMLJobSpec) -> dict[str, Any]:
    found: dict[str, Any] = automl_job(made)._to_rest_object().as_dict()["properties"]
    return found


def test_the_published_sample_sweep_is_sent_as_the_sdk_writes_it() -> None:
    yolo = {"model_name": ["yolov5"], "learning_rate": "uniform(0.0001, 0.01)", "model_size": "choice(small, medium)"}
    rcnn = {"model_name": ["fasterrcnn_resnet50_fpn"], "learning_rate": "uniform(0.0001, 0.001)"}
    sizes: dict[str, Any] = {"optimizer": ["sgd", "adam", "adamw"], "min_size": [600, 800]}
    made = spec(
        search_space=[read_space(yolo), read_space({**rcnn, **sizes})],
        early_termination=EarlyTerminationSpec("bandit", 2, 6),
        max_trials=10,
    )
    details = body(made)["taskDetails"]
    assert details["searchSpace"] == [
        {
            "learningRate": "uniform(0.0001,0.01)",
            "modelName": "choice('yolov5')",
            "modelSize": "choice('small','medium')",
        },
        {
            "learningRate": "uniform(0.0001,0.001)",
            "modelName": "choice('fasterrcnn_resnet50_fpn')",
            "optimizer": "choice('sgd','adam','adamw')",
            "minSize": "choice(600,800)",
        },
    ]
    assert details["sweepSettings"]["samplingAlgorithm"] == "Random"
    policy = details["sweepSettings"]["earlyTermination"]
    assert (policy["policyType"], policy["evaluationInterval"]) == ("Bandit", 2)
    assert (policy["slackFactor"], policy["delayEvaluation"]) == (0.2, 6)
    assert details["limitSettings"] == {"maxConcurrentTrials": 2, "maxTrials": 10, "timeout": "PT1H30M"}


@pytest.mark.parametrize(
    ("stop", "sent"),
    [
        (EarlyTerminationSpec("median_stopping", 1, 5), {"policyType": "MedianStopping"}),
        (
            EarlyTerminationSpec("truncation_selection", 1, 5, truncation_percentage=30),
            {"policyType": "TruncationSelection", "truncationPercentage": 30},
        ),
    ],
)
def test_the_other_policies_too(stop: EarlyTerminationSpec, sent: dict[str, Any]) -> None:
    space = [read_space({"learning_rate": "uniform(0.001, 0.01)"})]
    details = body(spec(search_space=space, early_termination=stop, sampling="bayesian"))["taskDetails"]
    assert details["sweepSettings"]["samplingAlgorithm"] == "Bayesian"
    policy = details["sweepSettings"]["earlyTermination"]
    assert {"evaluationInterval": 1, "delayEvaluation": 5, **sent}.items() <= policy.items()


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("loguniform(-9.2, -4.6)", "loguniform(-9.2,-4.6)"),
        ("quniform(0.1, 0.5, 0.1)", "quniform(0.1,0.5,0.1)"),
        ("normal(0.01, 0.002)", "normal(0.01,0.002)"),
        ("randint(4)", "randint(4)"),
        ("choice(0.00001, 0.1)", "choice(0.00001,0.1)"),
    ],
)
def test_every_distribution_is_sent(text: str, sent: str) -> None:
    details = body(spec(search_space=[read_space({"momentum": text})]))["taskDetails"]
    assert details["searchSpace"] == [{"momentum": sent}]


@pytest.mark.parametrize("kind", ["lognormal", "qnormal", "qlognormal", "qloguniform"])
def test_the_rarer_distributions_too(kind: Any) -> None:
    arguments = (0.1, 0.2) if kind == "lognormal" else (0.1, 0.2, 0.1)
    details = body(spec(search_space=[{"momentum": Distribution(kind, arguments)}]))["taskDetails"]
    assert details["searchSpace"][0]["momentum"].startswith(f"{kind}(0.1,0.2")


@pytest.mark.parametrize(
    ("task", "metric", "kind", "sent"),
    [
        ("object_detection", "mean_average_precision", "ImageObjectDetection", "MeanAveragePrecision"),
        ("instance_segmentation", "mean_average_precision", "ImageInstanceSegmentation", "MeanAveragePrecision"),
        ("image_classification", "accuracy", "ImageClassification", "Accuracy"),
        ("image_classification_multilabel", "iou", "ImageClassificationMultilabel", "IOU"),
    ],
)
def test_every_task_has_its_job(task: str, metric: str, kind: str, sent: str) -> None:
    found = body(spec(task=task, primary_metric=metric, parameters={"number_of_epochs": 3}))
    details = found["taskDetails"]
    assert (details["taskType"], details["primaryMetric"]) == (kind, sent)
    assert details["modelSettings"]["numberOfEpochs"] == 3
    assert details["targetColumnName"] == "label"
    assert details["trainingData"] == {"uri": "azureml:train:1", "jobInputType": "mltable"}
    assert details["validationData"] == {"uri": "azureml:validation:1", "jobInputType": "mltable"}
    assert found["experimentName"] == "visionloop-nuts"
    assert found["tags"] == {"visionloop_loop": "nuts"}
    assert "sweepSettings" not in details


def answer(status: int, headers: dict[str, str] | None = None) -> Any:
    return Answer(status, headers)


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (azure.ResourceNotFoundError(response=answer(404)), NotFound),
        (azure.ResourceExistsError(response=answer(409)), Conflict),
        (azure.HttpResponseError(response=answer(400)), UpstreamRefused),
        (azure.HttpResponseError(response=answer(403)), Upstream),
        (azure.HttpResponseError(response=answer(429, {"Retry-After": "9"})), UpstreamBusy),
        (azure.HttpResponseError(response=answer(500)), Upstream),
        (azure.HttpResponseError(response=answer(504)), UpstreamTimeout),
        (azure.HttpResponseError("cut off"), Upstream),
        (azure.ClientAuthenticationError("eyJ0eXAi…"), Upstream),
        (azure.ServiceRequestError("no route"), Upstream),
        (azure.ServiceResponseError("reset"), Upstream),
        (azure.ServiceRequestTimeoutError("slow"), UpstreamTimeout),
        (azure.ServiceResponseTimeoutError("slow"), UpstreamTimeout),
        (sdk_errors.MlException("the name is too long", "x"), UpstreamRefused),
    ],
)
def test_the_sdks_errors_become_ours(raised: Exception, ours: type[VisionloopError]) -> None:
    with pytest.raises(VisionloopError) as caught, translated("Doing it"):
        raise raised
    assert type(caught.value) is ours
    assert caught.value.detail.startswith("Doing it: ")
    assert "HUSHHUSH" not in caught.value.detail
    assert "eyJ" not in caught.value.detail
    if ours is UpstreamBusy:
        assert caught.value.extra == {"retry_after": 9.0}


def test_azures_own_message_is_kept() -> None:
    with pytest.raises(UpstreamRefused, match="Azure answered 400: it is so"), translated("Doing it"):
        raise azure.HttpResponseError(response=Answer(400))  # type: ignore[arg-type]


def test_errors_of_ours_pass() -> None:
    with pytest.raises(NotFound, match=r"^as it was$"), translated("Doing it"):
        raise NotFound("as it was")


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("/subscriptions/s/resourceGroups/g/providers/p/workspaces/w/models/vl-nuts/versions/3", "vl-nuts:3"),
        ("azureml:vl-nuts:3", "vl-nuts:3"),
        ("vl-nuts:3", "vl-nuts:3"),
    ],
)
def test_models_are_named_alike(model: str, named: str) -> None:
    assert _name_and_version(model) == named


@pytest.mark.parametrize(
    ("said", "meant"),
    [("Succeeded", "succeeded"), ("Failed", "failed"), ("Canceled", "failed"), ("Deleting", "deleting"),
     ("Creating", "creating"), ("Updating", "creating"), ("Scaling", "creating"), (None, "creating")],
)  # fmt: skip
def test_states_are_ours(said: str | None, meant: str) -> None:
    assert _state(said) == meant


def test_times_are_milliseconds_or_unknown() -> None:
    moment = _time(1_700_000_000_500)
    assert moment is not None
    assert moment.isoformat() == "2023-11-14T22:13:20.500000+00:00"
    assert _time("1700000000500") == moment
    assert all(_time(v) is None for v in (None, 0, "0", "", "soon", list[int]()))


def test_nothing_of_the_sdk_is_imported_before_the_first_call() -> None:
    code = (
        "import sys, services.cloud.ml as ml; from services.cloud.fakes import fake_settings; "
        "ml.AzureWorkspace(fake_settings()); "
        "print([m for m in sys.modules if m.startswith(('azure.', 'mlflow', 'numpy', 'PIL'))])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
