"""What the tests of the Azure ML emulator ask of the SDK again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from tests.support.azure_ml_process import AzureML

T = TypeVar("T")


def wait_for(ask: Callable[[], T], fits: Callable[[T], bool], seconds: float = 120) -> T:
    ends = time.monotonic() + seconds
    while not fits(found := ask()):
        assert time.monotonic() < ends, found
        time.sleep(0.05)
    return found


def wait_for_job(client: Any, name: str, status: str = "Completed") -> Any:
    return wait_for(lambda: client.jobs.get(name), lambda job: job.status == status)


def detection(name: str, version: str = "1", **parameters: Any) -> Any:
    from azure.ai.ml import Input, automl

    job = automl.image_object_detection(
        name=name,
        display_name=name,
        experiment_name="cats",
        compute="gpu-cluster",
        training_data=Input(type="mltable", path=f"azureml:cats:{version}"),
        validation_data=Input(type="mltable", path=f"azureml:cats:{version}"),
        target_column_name="label",
        primary_metric="mean_average_precision",
        tags={"loop": "cats"},
    )
    job.set_limits(max_trials=3, max_concurrent_trials=2, timeout_minutes=60)
    if parameters:
        job.set_training_parameters(**parameters)
    return job


def with_sweep(job: Any) -> Any:
    from azure.ai.ml.automl import SearchSpace
    from azure.ai.ml.sweep import BanditPolicy, Choice, Uniform

    job.extend_search_space([SearchSpace(model_name=Choice(["yolov5"]), learning_rate=Uniform(0.0001, 0.01))])
    policy = BanditPolicy(evaluation_interval=2, slack_factor=0.2, delay_evaluation=6)
    job.set_sweep(sampling_algorithm="Random", early_termination=policy)
    return job


def mlflow_run(client: Any, emulator: AzureML, run: str) -> dict[str, Any]:
    base = client.workspaces.get("visionloop").mlflow_tracking_uri.replace("azureml://", "https://")
    bearer = {"authorization": f"Bearer {emulator.token()}"}
    status, body = emulator.request("GET", f"{base}/api/2.0/mlflow/runs/get?run_id={run}", headers=bearer)
    assert status == 200, body
    found: dict[str, Any] = body["run"]
    return found


def score(client: Any, emulator: AzureML, run: str) -> float:
    metrics = {m["key"]: m["value"] for m in mlflow_run(client, emulator, run)["data"]["metrics"]}
    return float(metrics["mean_average_precision"])
