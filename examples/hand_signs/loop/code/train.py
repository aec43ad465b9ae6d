"""Trains a small network on hand signs: what `command` in loop.yaml runs, in Azure ML and in the local cloud alike.

    python train.py --train FOLDER --validation FOLDER

It reads both MLTables of the dataset version, tells metrics by epoch, and leaves the model in outputs/mlflow-model.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from saving import save
from torch import Tensor, nn

SIZE = 48
WIDTHS = (16, 32, 64, 96, 128)
BATCH, RATE = 32, 8e-3


def read_rows(folder: str) -> list[dict[str, Any]]:
    """Lines of `image_url` and `label`: the local cloud has the images as files, Azure ML as streams."""
    local = Path(folder, "annotations.jsonl")
    if local.exists():
        return [json.loads(line) for line in local.read_text().splitlines()]
    import mltable  # type: ignore[import-not-found]  # only in Azure ML

    rows: list[dict[str, Any]] = mltable.load(folder).to_pandas_dataframe().to_dict("records")
    return rows


def read_image(source: Any) -> Image.Image:
    """A row's image, from its path or its stream."""
    if isinstance(source, str):
        return Image.open(source)
    with source.open() as stream:
        return Image.open(io.BytesIO(stream.read()))


def tensors(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Pixels, uint8 (n, SIZE, SIZE, 3), and numbers of classes (n,)."""
    size, bilinear = (SIZE, SIZE), Image.Resampling.BILINEAR
    pixels = [np.asarray(read_image(row["image_url"]).convert("RGB").resize(size, bilinear)) for row in rows]
    return torch.from_numpy(np.stack(pixels)), torch.tensor([classes.index(row["label"]) for row in rows])


class Network(nn.Module):
    """Pixels as `tensors` gives them in, a probability for each class out."""

    def __init__(self, classes: int) -> None:
        """Blocks of a convolution, each of half the size of the one before; then the mean and maximum of the last."""
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        self.last = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * WIDTHS[-1], classes))

    def logits(self, images: Tensor) -> Tensor:
        """From float (n, 3, SIZE, SIZE), each channel of each image brought to mean 0 and variance 1."""
        found: Tensor = self.layers(F.instance_norm(images))
        logits: Tensor = self.last(torch.cat([found.mean((2, 3)), found.amax((2, 3))], dim=1))
        return logits

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        return self.logits(pixels.permute(0, 3, 1, 2).float() / 255).softmax(dim=1)


def varied(images: Tensor) -> Tensor:
    """In other colours, mirrored or not, turned, moved and made larger or smaller a little."""
    count = len(images)
    images = images[:, torch.randperm(3)] * (0.6 + 0.8 * torch.rand(count, 3, 1, 1))
    turn, size = (torch.rand(count) - 0.5) * 0.5, 1 + (torch.rand(count) - 0.5) * 0.2
    side = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    along, across = size * turn.cos(), size * turn.sin()
    move = (torch.rand(count, 2) - 0.5) * 0.15
    shape = torch.stack([side * along, -across, move[:, 0], side * across, along, move[:, 1]], dim=1)
    grid = F.affine_grid(shape.view(count, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def fit(network: Network, pixels: Tensor, truth: Tensor, held_out: tuple[Tensor, Tensor], epochs: int) -> Metrics:
    """Learn for so many epochs; returns the metrics, a number an epoch."""
    images = pixels.permute(0, 3, 1, 2).float() / 255
    steps = -(-len(images) // BATCH)
    descent = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.02)
    pace = torch.optim.lr_scheduler.OneCycleLR(descent, RATE, total_steps=epochs * steps)
    metrics: Metrics = {"train_loss": [], "accuracy": []}
    for epoch in range(epochs):
        network.train()
        losses = []
        for batch in torch.split(torch.randperm(len(images)), BATCH):
            loss = F.cross_entropy(network.logits(varied(images[batch])), truth[batch], label_smoothing=0.05)
            descent.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            descent.step()
            pace.step()
            losses.append(loss.item())
        metrics["train_loss"].append(sum(losses) / len(losses))
        metrics["accuracy"].append(accuracy(network, *held_out))
        tell(metrics, epoch)
    return metrics


@torch.no_grad()
def accuracy(network: Network, pixels: Tensor, truth: Tensor) -> float:
    """The share of images whose likeliest class is right."""
    network.eval()
    return float((network(pixels).argmax(1) == truth).float().mean())


Metrics = dict[str, list[float]]


def tell(metrics: Metrics, epoch: int) -> None:
    """To MLflow where it is installed, as in Azure ML; and to the file that the local cloud reads."""
    newest = {name: values[-1] for name, values in metrics.items()}
    print(f"epoch {epoch + 1}", *(f"{name} {value:.4f}" for name, value in newest.items()), flush=True)
    Path("outputs").mkdir(exist_ok=True)
    Path("outputs/metrics.json").write_text(json.dumps(metrics))
    try:
        import mlflow  # type: ignore[import-not-found]  # only in Azure ML
    except ImportError:
        return
    mlflow.log_metrics(newest, step=epoch)


def main() -> None:
    """Read, learn, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--epochs", type=int, default=int(os.environ.get("EPOCHS", "25")))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    started = time.monotonic()
    rows, held_out = read_rows(arguments.train), read_rows(arguments.validation)
    classes = sorted({row["label"] for row in [*rows, *held_out]})
    network = Network(len(classes))
    metrics = fit(network, *tensors(rows, classes), tensors(held_out, classes), arguments.epochs)
    save(network.eval(), classes, SIZE, Path("outputs/mlflow-model"))
    told = f"accuracy {metrics['accuracy'][-1]:.3f} on {len(held_out)}"
    print(f"{len(rows)} images of {len(classes)} classes in {time.monotonic() - started:.1f} s: {told}")


if __name__ == "__main__":
    main()
