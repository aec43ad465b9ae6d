from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from emulator.azure_ml.training.job import UserError, read_job, say

BOX = {"label": "ace", "topX": 0.1, "topY": 0.2, "bottomX": 0.3, "bottomY": 0.4}


def image(label: Any) -> dict[str, Any]:
    return {"image": "/data/x.jpg", "width": 4, "height": 3, "label": label}


def job(folder: Path, **changes: Any) -> Path:
    found = {
        "job": "one",
        "task": "object_detection",
        "primary_metric": "mean_average_precision",
        "trials": [{"name": "one_HD_0", "hyperparameters": {"learning_rate": 0.003}}],
        "train": [image([BOX]), image([{**BOX, "label": "king"}, BOX])],
        "validation": [image([{**BOX, "label": "jack"}])],
        "early_termination": None,
        "max_concurrent_trials": 2,
        "timeout_seconds": 60,
        "trial_timeout_seconds": 30,
        "feature_cache": str(folder / "features"),
        "seed": 3,
        "threads": 2,
        **changes,
    }
    (folder / "job.json").write_text(json.dumps(found))
    return folder


def test_classes_are_those_of_both_parts_in_the_order_of_the_alphabet(tmp_path: Path) -> None:
    found = read_job(job(tmp_path))
    assert found.classes == ("ace", "jack", "king")
    assert [row.labels for row in found.train] == [(0,), (2, 0)]
    assert found.validation[0].labels == (1,)
    assert found.is_detection


def test_boxes_are_read_as_they_are_named(tmp_path: Path) -> None:
    assert read_job(job(tmp_path)).train[0].boxes == ((0.1, 0.2, 0.3, 0.4),)


def test_a_job_says_what_it_may_use(tmp_path: Path) -> None:
    found = read_job(job(tmp_path))
    assert (found.seed, found.threads, found.trial_seconds) == (3, 2, 30.0)
    assert 55 < found.deadline - time.monotonic() <= 60
    assert found.trials[0].hyperparameters == {"learning_rate": 0.003}


def test_one_label_an_image(tmp_path: Path) -> None:
    rows = [image("can"), image("carton")]
    found = read_job(job(tmp_path, task="image_classification", train=rows, validation=rows))
    assert [row.labels for row in found.train] == [(0,), (1,)]
    assert not found.is_detection


def test_several_labels_an_image_or_none(tmp_path: Path) -> None:
    rows = [image(["can", "carton"]), image([])]
    found = read_job(job(tmp_path, task="image_classification_multilabel", train=rows, validation=rows))
    assert [row.labels for row in found.train] == [(0, 1), ()]


def test_an_image_without_a_box_is_one_to_learn_from(tmp_path: Path) -> None:
    found = read_job(job(tmp_path, train=[image([BOX]), image([])]))
    assert found.train[1].boxes == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": [image([])], "validation": [image([])]}, "No image has a label"),
        ({"train": [image([BOX])]}, "not 1, 1"),
        ({"validation": []}, "not 2, 0"),
        ({"train": [image([]), image([])]}, "No training image has a box"),
    ],
)
def test_too_little_to_learn_from_is_the_users_error(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_job(job(tmp_path, **changes))


def test_what_is_said_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    say("epoch", trial="one\ntwo", metrics={"train_loss": 0.5})
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert json.loads(said) == {"event": "epoch", "trial": "one\ntwo", "metrics": {"train_loss": 0.5}}
