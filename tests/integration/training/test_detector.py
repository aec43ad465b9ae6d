from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.integration.training.conftest import Detector, Row, Slot, job, rows, start_trainer, train
from tests.support.cards import overlap
from tests.support.timing import tried_again, within

CORNERS = ("topX", "topY", "bottomX", "bottomY")


def test_says_what_the_contract_promises_in_order(detector: Detector) -> None:
    result = detector.result
    assert result.code == 0, result.errors
    assert result.events[0] == "started"
    assert result.events[-1] == "completed"
    order = ["features", "trial_started", "epoch", "trial_completed", "completed"]
    assert [e for e in dict.fromkeys(result.events) if e != "started"] == order
    epochs = result.of("epoch")
    assert [e["epoch"] for e in epochs] == list(range(1, 13))
    assert {e["epochs"] for e in epochs} == {12}
    assert result.of("features")[-1]["done"] == result.of("features")[-1]["total"]
    assert {"train_loss", "mean_average_precision", "map50"} <= set(epochs[-1]["metrics"])


def test_learns_the_two_shapes(detector: Detector) -> None:
    done = detector.result.of("completed")[0]
    assert done["best_trial"] == "tiny_HD_0"
    assert done["metrics"]["map50"] >= 0.8
    losses = [e["metrics"]["train_loss"] for e in detector.result.of("epoch")]
    assert losses[-1] < losses[0] / 2


def test_the_model_folder_is_complete(detector: Detector) -> None:
    assert detector.model == detector.folder / "trials" / "tiny_HD_0" / "mlflow-model"
    assert {f.name for f in detector.model.iterdir()} == {"MLmodel", "model.onnx", "manifest.json"}
    manifest = json.loads((detector.model / "manifest.json").read_text())
    assert manifest["task"] == "object_detection"
    assert manifest["classes"] == ["disc", "square"]
    assert manifest["hyperparameters"]["views"] == 1
    assert manifest["metrics"]["map50"] == detector.result.of("completed")[0]["metrics"]["map50"]


def test_the_slot_finds_the_shapes_on_new_pictures(detector: Detector, slot: Slot) -> None:
    answers = slot.score(*(Path(row["image"]).read_bytes() for row in detector.held_out))
    assert len(answers) == len(detector.held_out)
    wanted = [(answer, label) for answer, row in zip(answers, detector.held_out, strict=True) for label in row["label"]]
    found = [_best(answer, label["label"], label) for answer, label in wanted]
    assert sum(iou >= 0.5 for iou in found) >= 0.75 * len(found), found


def test_the_onnx_file_computes_what_torch_judged(detector: Detector) -> None:
    """The manifest's figures came from torch and cached float16 features; here the file alone is judged."""
    from emulator.azure_ml.serving.model import Model
    from emulator.azure_ml.training import scores
    from emulator.azure_ml.training.job import read_job

    validation = read_job(detector.folder).validation
    model = Model(detector.model, threads=1)
    answers = model.predict([row.image.read_bytes() for row in validation])
    found = [_arrays(answer) for answer in answers]
    judged = scores.mean_average_precision(validation, found, 2)
    reported = detector.result.of("completed")[0]["metrics"]
    assert judged["mean_average_precision"] == pytest.approx(reported["mean_average_precision"], abs=0.02)
    assert judged["map50"] == pytest.approx(reported["map50"], abs=0.02)


def test_a_second_job_extracts_new_images_only_and_learns_the_same(detector: Detector, tmp_path: Path) -> None:
    cache = str(detector.folder.parent / "features")
    again = train(job(tmp_path / "again", detector.rows[:18], detector.rows[18:], feature_cache=cache))
    assert again.of("features") == []
    assert again.of("completed")[0]["metrics"] == detector.result.of("completed")[0]["metrics"]
    more = rows(tmp_path / "more", 2, first=200)
    grown = job(
        tmp_path / "grown", detector.rows[:18] + more, detector.rows[18:], {"number_of_epochs": 1},
        feature_cache=cache, threads=2,
    )  # fmt: skip
    assert train(grown).of("features")[-1]["total"] == 2


def test_trials_differ_and_the_best_is_named(detector: Detector, tmp_path: Path) -> None:
    cache = str(detector.folder.parent / "features")
    trials: list[Row] = [{"learning_rate": 1e-7, "number_of_epochs": 2}, {"optimizer": "adam", "number_of_epochs": 6}]
    result = train(job(tmp_path / "two", detector.rows[:18], detector.rows[18:], *trials, feature_cache=cache))
    first, second = result.of("trial_completed")
    assert first["metrics"]["mean_average_precision"] < second["metrics"]["mean_average_precision"]
    assert result.of("completed")[0]["best_trial"] == "tiny_HD_1"
    assert all((Path(t["model"]) / "model.onnx").exists() for t in (first, second))


def test_a_hopeless_trial_is_stopped_early(detector: Detector, tmp_path: Path) -> None:
    cache = str(detector.folder.parent / "features")
    policy = {
        "policy": "bandit",
        "evaluation_interval": 1,
        "delay_evaluation": 2,
        "slack_factor": 0.2,
        "slack_amount": None,
    }
    folder = job(
        tmp_path / "bandit", detector.rows[:18], detector.rows[18:], {}, {"learning_rate": 1e-7},
        feature_cache=cache, early_termination=policy,
    )  # fmt: skip
    good, hopeless = train(folder).of("trial_completed")
    assert not good["terminated_early"]
    assert hopeless["terminated_early"]


def test_a_time_limit_ends_the_trial_with_what_is_there(detector: Detector, tmp_path: Path) -> None:
    cache = str(detector.folder.parent / "features")
    for seconds in (6, 30):  # a machine that needs six seconds to begin gets more
        folder = job(
            tmp_path / str(seconds), detector.rows[:18], detector.rows[18:],
            {"number_of_epochs": 500, "evaluation_frequency": 400}, {}, feature_cache=cache, timeout_seconds=seconds,
        )  # fmt: skip
        result = train(folder)
        if result.code == 0:
            break
    assert result.code == 0, result.errors
    assert len(result.of("epoch")) < 500
    assert 0 <= result.of("completed")[0]["metrics"]["map50"] <= 1  # it was judged, though its turn had not come
    assert "time" in result.of("trial_failed")[0]["error"]["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")
@tried_again
def test_sigterm_ends_within_two_seconds(detector: Detector, tmp_path: Path) -> None:
    cache = str(detector.folder.parent / "features")
    folder = job(
        tmp_path / "long", detector.rows[:18], detector.rows[18:], {"number_of_epochs": 1000}, feature_cache=cache
    )
    process = start_trainer(folder)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "epoch":
            break
    process.send_signal(signal.SIGTERM)
    with within(2.5):
        out, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert '"completed"' not in out


def test_the_trainer_ends_with_its_parent(detector: Detector, tmp_path: Path) -> None:
    cache = str(detector.folder.parent / "features")
    folder = job(
        tmp_path / "orphan", detector.rows[:18], detector.rows[18:], {"number_of_epochs": 1000}, feature_cache=cache
    )
    process = start_trainer(folder, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    process.stdin.close()
    process.stdin = None
    process.communicate(timeout=90)
    assert process.returncode != 0


def _best(answer: Row, name: str, label: Row) -> float:
    truth = tuple(label[c] for c in CORNERS)
    boxes = [tuple(b["box"][c] for c in CORNERS) for b in answer["boxes"] if b["label"] == name and b["score"] > 0.3]
    return max((overlap(box, truth) for box in boxes), default=0.0)


def _arrays(answer: Row) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxes = np.array([[b["box"][c] for c in CORNERS] for b in answer["boxes"]], np.float32).reshape(-1, 4)
    found = np.array([b["score"] for b in answer["boxes"]], np.float32)
    return boxes, found, np.array([("disc", "square").index(b["label"]) for b in answer["boxes"]], np.intp)
