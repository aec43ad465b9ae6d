"""Writes a trained model as one ONNX file, backbone and decoding included, in a folder that MLflow would know."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from emulator.azure_ml.training import backbone
from emulator.azure_ml.training.classification import Classifier
from emulator.azure_ml.training.graph import Graph
from emulator.azure_ml.training.head import GROUPS, Head
from emulator.azure_ml.training.job import Job, Metrics, Trial
from emulator.azure_ml.training.scores import KEPT_SCORE

Array = NDArray[np.float32]


def write(job: Job, trial: Trial, model: Head | Classifier, size: int, metrics: Metrics) -> Path:
    """Write `mlflow-model`; returns its folder."""
    folder = job.folder / "trials" / trial.name / "mlflow-model"
    folder.mkdir(parents=True, exist_ok=True)
    write_onnx(model, folder / "model.onnx")
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


def write_onnx(model: Head | Classifier, file: Path) -> None:
    """Write backbone and head: `boxes` (n, cells, 4) and `scores` (n, cells, classes), or `scores` (n, classes)."""
    graph = Graph()
    taps = backbone.append(graph, backbone.read_weights())
    if isinstance(model, Head):
        boxes, scores = _Writer(graph, model).detector(taps)
        graph.write(file, {"boxes": boxes, "scores": scores})
    else:
        graph.write(file, {"scores": _classifier(graph, model, taps)})


class _Writer:
    """The same steps as `Head.forward`, as nodes; a test holds the two against each other."""

    def __init__(self, graph: Graph, head: Head) -> None:
        self._graph, self._head = graph, head
        self._weights = {name: _array(value) for name, value in head.state_dict().items()}

    def detector(self, taps: list[str]) -> tuple[str, str]:
        graph, head = self._graph, self._head
        maps = [self._norm(self._conv(taps[tap], f"lateral.{i}"), f"norms.{i}") for i, tap in enumerate(head.levels)]
        for level in range(len(maps) - 2, -1, -1):
            maps[level] = graph.op("Add", maps[level], self._doubled(maps[level + 1]))
        found = [self._level(level, self._tower(found)) for level, found in enumerate(maps)]
        boxes, scores = (graph.op("Concat", *parts, axis=1) for parts in zip(*found, strict=True))
        return boxes, graph.op("Sigmoid", scores)

    def _conv(self, x: str, name: str) -> str:
        return self._graph.conv(x, self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias"))

    def _norm(self, x: str, name: str) -> str:
        """Group normalisation: instance normalisation of each group as one channel."""
        graph = self._graph
        ones, zeros = graph.constant(np.ones(GROUPS, np.float32)), graph.constant(np.zeros(GROUPS, np.float32))
        grouped = graph.op("Reshape", x, graph.constant([0, GROUPS, -1]))
        even = graph.op("InstanceNormalization", grouped, ones, zeros, epsilon=1e-5)
        even = graph.op("Reshape", even, graph.op("Shape", x))
        gain, shift = (graph.constant(self._weights[f"{name}.{w}"][:, None, None]) for w in ("weight", "bias"))
        return graph.op("Add", graph.op("Mul", even, gain), shift)

    def _doubled(self, x: str) -> str:
        graph = self._graph
        scales = graph.constant(np.array([1, 1, 2, 2], np.float32))
        attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return graph.op("Resize", x, "", scales, **attributes)

    def _tower(self, x: str) -> str:
        graph = self._graph
        x = graph.op("Relu", x)
        for number, kind in enumerate(self._head.layers):
            name = f"tower.{number}"
            if kind == "conv":
                x = self._conv(x, name)
            else:
                x = self._norm(x, name) if kind == "norm" else graph.op("Relu", x)
        return x

    def _level(self, level: int, towered: str) -> tuple[str, str]:
        """Boxes (n, cells, 4) and logits (n, cells, classes) of a stride."""
        graph, head = self._graph, self._head
        scale = graph.constant(float(self._weights["scales"][level]))
        sides = graph.op("Softplus", graph.op("Mul", self._conv(towered, "sides"), scale))
        sides = self._cells(graph.op("Mul", sides, graph.constant(head.strides[level] / head.size)))
        centres = _array(head.centres(level))
        signs = graph.constant(np.array([-1, -1, 1, 1], np.float32))
        places = graph.constant(np.concatenate([centres, centres], axis=1)[None])
        return graph.op("Add", places, graph.op("Mul", sides, signs)), self._cells(self._conv(towered, "scores"))

    def _cells(self, x: str) -> str:
        """(n, channels, height, width) as (n, cells, channels)."""
        graph = self._graph
        return graph.op("Transpose", graph.op("Reshape", x, graph.constant([0, 0, -1])), perm=[0, 2, 1])


def _classifier(graph: Graph, model: Classifier, taps: list[str]) -> str:
    """Pooling as in `Classifier.pooled`; the normalisation before the linear layer is folded into it."""
    parts = [graph.op(kind, taps[tap]) for kind, tap in model.POOLS]
    pooled = graph.op("Flatten", graph.op("Concat", *parts, axis=1))
    weight, bias = (graph.constant(_array(value)) for value in model.folded())
    logits = graph.op("Gemm", pooled, weight, bias, transB=1)
    return graph.op("Sigmoid", logits) if model.multilabel else graph.op("Softmax", logits, axis=1)


def _array(value: Tensor | Any) -> Array:
    found: Array = value.detach().numpy()
    return found


def _mlmodel(job: Job) -> str:
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (
        "artifact_path: outputs/mlflow-model\n"
        "flavors:\n  onnx:\n    data: model.onnx\n"
        f"run_id: {job.folder.name}\nutc_time_created: '{created}'\n"
    )
