"""Drawn pictures, jobs of them, and the trainer's and the slot's processes."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from emulator.free_ports import free_ports

ROOT = Path(__file__).resolve().parents[3]
FAST = {"number_of_epochs": 12, "views": 1, "training_batch_size": 4, "learning_rate": 0.006, "model_size": "small"}
Row = dict[str, Any]


def picture(file: Path, seed: int) -> list[Row]:
    """A red disc and a blue square on grey, 320 x 240; returns their boxes as AutoML has them."""
    dice = random.Random(seed)
    image = Image.new("RGB", (320, 240), (dice.randint(150, 200),) * 3)
    pen, labels = ImageDraw.Draw(image), []
    for name, left in (("disc", dice.randint(5, 60)), ("square", dice.randint(165, 220))):
        top, side = dice.randint(5, 130), dice.randint(60, 95)
        box = (left, top, left + side, top + side)
        if name == "disc":
            pen.ellipse(box, fill=(200, 40, 40))
        else:
            pen.rectangle(box, fill=(40, 60, 200))
        corners = dict(topX=left / 320, topY=top / 240, bottomX=(left + side) / 320, bottomY=(top + side) / 240)
        labels.append({"label": name, **corners, "isCrowd": 0})
    image.save(file, quality=90)
    return labels


def rows(folder: Path, count: int, first: int = 0) -> list[Row]:
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(first, first + count):
        file = folder / f"image-{number:03}.jpg"
        found.append({"image": str(file), "width": 320, "height": 240, "label": picture(file, number)})
    return found


def job(folder: Path, train: list[Row], validation: list[Row], *trials: dict[str, Any], **changes: Any) -> Path:
    """A job's folder."""
    found = {
        "job": "tiny",
        "task": "object_detection",
        "primary_metric": "mean_average_precision",
        "trials": [{"name": f"tiny_HD_{n}", "hyperparameters": {**FAST, **t}} for n, t in enumerate(trials or ({},))],
        "train": train,
        "validation": validation,
        "early_termination": None,
        "max_concurrent_trials": 2,
        "timeout_seconds": 600,
        "trial_timeout_seconds": 600,
        "feature_cache": str(folder.parent / "features"),
        "seed": 0,
        "threads": 1,  # two of one small job wait for each other more than they compute
    } | changes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text(json.dumps(found))
    return folder


def start_trainer(folder: Path, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "emulator.azure_ml.training", str(folder)]
    pipes: dict[str, Any] = dict(stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


@dataclass
class Trained:
    """What a training process said."""

    code: int
    said: list[Row]
    errors: str
    seconds: float
    events: list[str] = field(default_factory=list)

    def of(self, event: str) -> list[Row]:
        return [line for line in self.said if line["event"] == event]


def train(folder: Path) -> Trained:
    """Run a job to its end."""
    started = time.monotonic()
    with start_trainer(folder) as process:
        out, errors = process.communicate(timeout=250)
    said = [json.loads(line) for line in out.splitlines()]
    return Trained(process.returncode, said, errors, time.monotonic() - started, [line["event"] for line in said])


class Slot:
    """A slot's process and its address."""

    def __init__(self, model: Path, folder: Path) -> None:
        [self.port] = free_ports(1)
        self.ready = folder / f"ready-{self.port}"
        command = [sys.executable, "-m", "emulator.azure_ml.serving", "--model", str(model)]
        command += ["--port", str(self.port), "--ready-file", str(self.ready)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
        self.url = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + 120
        while not self.ready.exists():
            assert self.process.poll() is None, "the slot ended before it was ready"
            assert time.monotonic() < deadline, "the slot is not ready after a minute"
            time.sleep(0.05)

    def post(self, body: bytes | str) -> httpx.Response:
        return httpx.post(f"{self.url}/score", content=body, headers={"content-type": "application/json"}, timeout=30)

    def score(self, *images: bytes) -> list[Row]:
        data = [base64.b64encode(image).decode() for image in images]
        answer = self.post(json.dumps({"input_data": {"columns": ["image"], "data": data}}))
        assert answer.status_code == 200, answer.text
        found: list[Row] = answer.json()
        return found

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()


@dataclass(frozen=True)
class Detector:
    """A small detector, trained once for all tests."""

    folder: Path
    rows: list[Row]
    held_out: list[Row]
    result: Trained

    @property
    def model(self) -> Path:
        return Path(self.result.of("trial_completed")[0]["model"])


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    base = tmp_path_factory.mktemp("detector")
    every = rows(base / "images", 24)
    folder = job(base / "job", every[:18], every[18:])
    return Detector(folder, every, rows(base / "new", 4, first=100), train(folder))


@pytest.fixture(scope="session")
def slot(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slot]:
    found = Slot(detector.model, tmp_path_factory.mktemp("slot"))
    yield found
    found.stop()
