"""Writes a trained model as one ONNX file, backbone and decoding included, in a folder that MLflow would know."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emulator.azure_ml.training import backbone
from emulator.azure_ml.training.detection import KEPT_SCORE
from emulator.azure_ml.training.job import Job, Metrics, Trial


class _Detector(nn.Module):
    def __init__(self, taps: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.taps, self.head = taps, head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        boxes, logits = self.head(self.taps(images))
        return boxes, logits.sigmoid()


class _Classifier(nn.Module):
    def __init__(self, taps: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.taps, self.head = taps, head

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.head(self.taps(images))
        return found


def write(job: Job, trial: Trial, head: nn.Module, size: int, metrics: Metrics) -> Path:
    """Write `mlflow-model`; returns its folder."""
    folder = job.folder / "trials" / trial.name / "mlflow-model"
    folder.mkdir(parents=True, exist_ok=True)
    names = ["boxes", "scores"] if job.is_detection else ["scores"]
    whole = (_Detector if job.is_detection else _Classifier)(backbone.network(), head).eval()
    export_onnx(whole, folder / "model.onnx", size, names)
    manifest = {
        "task": job.task,
        "classes": list(job.classes),
        "input_size": size,
        "score_threshold": KEPT_SCORE,
        "hyperparameters": trial.hyperparameters,
        "metrics": metrics,
        "created": datetime.now(UTC).isoformat(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    (folder / "MLmodel").write_text(_mlmodel(job))
    return folder


def export_onnx(module: Any, file: Path, size: int, names: list[str]) -> None:
    """Export a module that takes uint8 images (n, size, size, 3), with n left open."""
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of constants that it need not fold
        torch.onnx.export(
            module,
            (example,),
            str(file),
            input_names=["images"],
            output_names=names,
            dynamic_axes={name: {0: "n"} for name in ["images", *names]},
            opset_version=17,
            dynamo=False,
        )


def _mlmodel(job: Job) -> str:
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (
        "artifact_path: outputs/mlflow-model\n"
        "flavors:\n  onnx:\n    data: model.onnx\n"
        f"run_id: {job.folder.name}\nutc_time_created: '{created}'\n"
    )
