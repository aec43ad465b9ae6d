"""What the laptop's trainer reaches, and what it costs: accuracy on held-out images, wall and CPU seconds, as JSON.

    python benchmarks/training.py --train FOLDER --test FOLDER            # Pascal VOC files beside the images
    python benchmarks/training.py --classes FOLDER --seeds 3              # a folder a class, split here by seed
    python benchmarks/training.py --drawn 120 --set number_of_epochs=10   # the demonstration's own pictures

The test images are the trainer's validation set: nothing is learnt or chosen from them but the best of the trials.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from defusedxml import ElementTree
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SUFFIXES = {".jpg", ".jpeg", ".png"}
Row = dict[str, Any]


def voc_rows(folder: Path) -> list[Row]:
    """Images of a folder with the Pascal VOC files beside them."""
    images = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    return [_row(f, list(_voc_boxes(f))) for f in images if f.with_suffix(".xml").exists()]


def _voc_boxes(image: Path) -> Iterator[Row]:
    root: Any = ElementTree.parse(image.with_suffix(".xml")).getroot()
    width, height = _size(image)
    for found in root.iter("object"):
        left, top, right, bottom = (float(found.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin", "xmax", "ymax"))
        yield _box(found.findtext("name"), left / width, top / height, right / width, bottom / height)


def _box(name: str, left: float, top: float, right: float, bottom: float) -> Row:
    sides = {"topX": left, "topY": top, "bottomX": right, "bottomY": bottom}
    return {"label": name, **{k: min(1.0, max(0.0, v)) for k, v in sides.items()}, "isCrowd": 0}


def class_rows(folder: Path, seed: int, share: float) -> tuple[list[Row], list[Row]]:
    """Images in a folder a class, split with this share of each class for testing."""
    train, test = [], []
    for one in sorted(f for f in folder.iterdir() if f.is_dir()):
        rows = [_row(f, one.name) for f in sorted(one.iterdir()) if f.suffix.lower() in SUFFIXES]
        random.Random(seed).shuffle(rows)
        cut = round(share * len(rows))
        test += rows[:cut]
        train += rows[cut:]
    return train, test


def drawn_rows(count: int, seed: int, folder: Path) -> tuple[list[Row], list[Row]]:
    """The demonstration's pictures: so many to learn from, and a quarter as many more to test."""
    from demo.drawing import draw

    rows = []
    for example in draw(count + count // 4, seed, "belt"):
        file = folder / example.name
        file.write_bytes(example.data)
        size = (example.width, example.height) * 2
        boxes = [_box(t.name, *(v / s for v, s in zip(t.box, size, strict=True))) for t in example.things if t.box]
        rows.append(_row(file, boxes))
    return rows[:count], rows[count:]


def _size(image: Path) -> tuple[int, int]:
    with Image.open(image) as opened:
        return ImageOps.exif_transpose(opened).size


def _row(image: Path, label: Any) -> Row:
    width, height = _size(image)
    return {"image": str(image.resolve()), "width": width, "height": height, "label": label}


def run(job: Row, folder: Path) -> Row:
    """One training process: its figures."""
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(job))
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "emulator.azure_ml.training", str(folder)]
    marks: dict[str, float] = {}
    trials: list[Row] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            said = json.loads(line)
            marks.setdefault(said["event"], time.perf_counter() - started)
            if said["event"] == "trial_completed":
                trials.append({k: said[k] for k in ("trial", "metrics", "terminated_early")})
            if said["event"] in ("failed", "trial_failed"):
                sys.stderr.write(line)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "best": said.get("metrics"),
        "trials": trials,
        "wall_s": round(time.perf_counter() - started, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "features_wall_s": round(marks.get("trial_started", 0.0) - marks.get("started", 0.0), 1),
    }


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _data(arguments: argparse.Namespace, seed: int, folder: Path) -> tuple[list[Row], list[Row]]:
    if arguments.drawn:
        return drawn_rows(arguments.drawn, seed, folder)
    if arguments.classes:
        return class_rows(arguments.classes, seed, 0.28)
    train = voc_rows(arguments.train)
    random.Random(seed).shuffle(train)
    return train[: arguments.images or None], voc_rows(arguments.test)


def main() -> None:
    """Print a JSON object a seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--train", type=Path, help="folder of images with Pascal VOC files")
    source.add_argument("--classes", type=Path, help="folder with a folder a class")
    source.add_argument("--drawn", type=int, help="so many drawn images")
    parser.add_argument("--test", type=Path, help="like --train")
    parser.add_argument("--images", type=int, help="learn from so many only")
    parser.add_argument("--rates", type=float, nargs="*", default=[], help="learning rates, one trial each")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="hyperparameters of every trial")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="feature cache to use; a new one otherwise, and its cost is counted")
    arguments = parser.parse_args()
    fixed = {name: _value(value) for name, _, value in (text.partition("=") for text in arguments.set)}
    given = [{**fixed, "learning_rate": rate} for rate in arguments.rates] or [fixed]
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            train, test = _data(arguments, seed, folder)
            job = {
                "job": "bench",
                "task": "image_classification" if arguments.classes else "object_detection",
                "primary_metric": "accuracy" if arguments.classes else "mean_average_precision",
                "trials": [{"name": f"bench_HD_{n}", "hyperparameters": h} for n, h in enumerate(given)],
                "train": train,
                "validation": test,
                "early_termination": {"policy": "bandit", "evaluation_interval": 2, "delay_evaluation": 6,
                                      "slack_factor": 0.2, "slack_amount": None},
                "max_concurrent_trials": 2,
                "timeout_seconds": 3600,
                "trial_timeout_seconds": 3600,
                "feature_cache": str(arguments.cache or folder / "features"),
                "seed": seed,
                "threads": os.cpu_count() or 1,
            }  # fmt: skip
            figures = run(job, folder / "job")
            told = {"seed": seed, "train": len(train), "test": len(test), "set": fixed, **figures}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
