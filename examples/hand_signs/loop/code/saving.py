"""Writes the model in the one folder that Azure ML deploys without a scoring script and the local cloud serves too.

`outputs/mlflow-model/`
    MLmodel, code/scoring.py, data/    MLflow's `python_function`: what Azure ML's slot loads
    model.onnx, manifest.json          what a slot of the local cloud runs
"""

from __future__ import annotations

import json
import platform
import shutil
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

NEEDED = ("onnxruntime", "numpy", "pandas", "pillow", "mlflow-skinny", "azureml-ai-monitoring")
"""By the slot. Azure ML adds its server by itself; its scoring script imports the last one."""
SIGNATURE = {"inputs": json.dumps([{"name": "image", "type": "string", "required": True}])}


def save(network: torch.nn.Module, classes: Sequence[str], size: int, folder: Path) -> None:
    """Write the folder anew; the network takes uint8 (n, size, size, 3) and gives probabilities (n, classes)."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("code", "data"):
        (folder / part).mkdir(parents=True)
    _write_onnx(network, size, folder / "model.onnx")
    manifest = {"task": "image_classification", "classes": list(classes), "input_size": size, "score_threshold": 0.0}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    for name in ("model.onnx", "manifest.json"):
        shutil.copy(folder / name, folder / "data" / name)
    shutil.copy(Path(__file__).with_name("scoring.py"), folder / "code" / "scoring.py")
    for name, document in documents().items():
        (folder / name).write_text(json.dumps(document, indent=1))  # JSON is YAML too


def documents() -> dict[str, Any]:
    """MLflow's files, in the format of https://mlflow.org/docs/latest/ml/model/#storage-format."""
    python = ".".join(platform.python_version_tuple()[:2])
    flavour = {
        "loader_module": "scoring",
        "code": "code",
        "data": "data",
        "env": {"conda": "conda.yaml"},
        "python_version": platform.python_version(),
    }
    return {
        "MLmodel": {
            "artifact_path": "outputs/mlflow-model",
            "flavors": {"python_function": flavour},
            "signature": SIGNATURE,
            "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        },
        "conda.yaml": {
            "name": "hand-signs",
            "channels": ["conda-forge"],
            "dependencies": [f"python={python}", "pip", {"pip": [_pinned(name) for name in NEEDED]}],
        },
    }


def _pinned(name: str) -> str:
    """As it is here, where the model was tried; what is not here is taken as it comes."""
    try:
        return f"{name}=={version(name)}"
    except ImportError:
        return name


def _write_onnx(network: torch.nn.Module, size: int, file: Path) -> None:
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter says that there is a newer one, which needs onnxscript
        torch.onnx.export(
            network,
            (example,),
            str(file),
            input_names=["images"],
            output_names=["scores"],
            dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
