"""Writes ONNX graphs node by node: a fraction of an exporter's time, and no second framework between the two files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 9
INPUT = "images"
Array = NDArray[Any]


class Graph:
    """A growing graph whose input is `images`, uint8 (n, height, width, 3). Values are named by strings."""

    def __init__(self) -> None:
        """Empty."""
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: Array | Sequence[int] | float) -> str:
        """A weight, a list of whole numbers such as a shape, or one float32 number."""
        name = f"c{len(self._constants)}"
        kind = np.float32 if isinstance(value, float) else np.int64
        array = value if isinstance(value, np.ndarray) else np.asarray(value, kind)
        self._constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Apply an operator with one output."""
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, weight: Array, bias: Array | None = None, stride: int = 1) -> str:
        """A convolution that keeps the size (divided by `stride`); depthwise where the weight has one input channel."""
        kernel = weight.shape[2]
        inputs = [x, self.constant(weight), *([self.constant(bias)] if bias is not None else [])]
        groups = weight.shape[0] if weight.shape[1] == 1 else 1
        shape = {"kernel_shape": [kernel, kernel], "strides": [stride, stride], "auto_pad": "SAME_UPPER"}
        return self.op("Conv", *inputs, group=groups, **shape)

    def write(self, file: Path, outputs: dict[str, str]) -> None:
        """Write the model; `outputs` names values. The file appears complete or not at all."""
        nodes = [*self._nodes, *(helper.make_node("Identity", [value], [name]) for name, value in outputs.items())]
        image = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", "height", "width", 3])
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(nodes, "visionloop", [image], results, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        partial = file.with_suffix(".partial")
        onnx.save(model, str(partial))
        partial.replace(file)
