from __future__ import annotations

import base64
import io
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.integration.training.conftest import ROOT, Detector, Row, Slot, job, train

COLOURS = {"red": (200, 50, 40), "green": (50, 180, 60), "blue": (50, 60, 200)}
FAST = {"number_of_epochs": 12, "views": 1, "training_batch_size": 8, "learning_rate": 0.01}


def jpeg(size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 120).save(out, "PNG" if mode in {"P", "RGBA", "LA"} else "JPEG")
    return out.getvalue()


def body(data: list[Any], columns: list[str] | None = None) -> str:
    return json.dumps({"input_data": {"columns": columns or ["image"], "data": data}})


def painted(folder: Path, names: list[str], seed: int) -> Path:
    """An image with a stripe of each colour on grey."""
    dice, image = random.Random(seed), Image.new("RGB", (96, 72), (128, 128, 128))
    for number, name in enumerate(names):
        left = 4 + 30 * number + dice.randint(0, 6)
        image.paste(COLOURS[name], (left, dice.randint(2, 12), left + 22, dice.randint(50, 70)))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{seed}.png"
    image.save(file)
    return file


def row(file: Path, label: Any) -> Row:
    return {"image": str(file), "width": 96, "height": 72, "label": label}


def loaded_in_a_serving_process(model: Path, *names: str) -> list[str]:
    """Which of these modules are there after an image was scored."""
    code = (
        "import sys; from pathlib import Path; import emulator.azure_ml.serving.__main__ as slot;"
        f"slot.Model(Path({str(model)!r}), threads=1).predict([sys.stdin.buffer.read()]);"
        f"print([name for name in {names!r} if name in sys.modules])"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, input=jpeg(), capture_output=True, check=True, timeout=60)
    found: list[str] = json.loads(done.stdout.decode().replace("'", '"'))
    return found


def test_serving_never_loads_torch(detector: Detector) -> None:
    names = ("torch", "emulator.azure_ml.training.head", "pycocotools", "onnxruntime")
    assert loaded_in_a_serving_process(detector.model, *names) == ["onnxruntime"]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"input_data": null}',
        body([]),
        body(["not base64!"]),
        body([base64.b64encode(b"no image").decode()]),
        body([base64.b64encode(jpeg()[:200]).decode()]),
        body([base64.b64encode(jpeg()).decode(), 7]),
        body([base64.b64encode(jpeg()).decode()], ["picture"]),
    ],
)
def test_a_body_that_is_none_is_refused_in_words_and_the_slot_lives_on(slot: Slot, wrong: str) -> None:
    answer = slot.post(wrong)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert "Traceback" not in answer.text
    assert len(slot.score(jpeg())) == 1


def test_azure_mls_form_of_the_data_with_a_list_a_row_is_taken(slot: Slot) -> None:
    image = base64.b64encode(jpeg()).decode()
    nested, flat = slot.post(body([[image]])), slot.post(body([image]))
    assert nested.status_code == flat.status_code == 200
    assert nested.json() == flat.json()


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "LA"])
def test_images_of_every_mode_are_scored(slot: Slot, mode: str) -> None:
    assert "boxes" in slot.score(jpeg((33, 200), mode))[0]


def test_an_answer_has_the_fields_that_azure_ml_documents(detector: Detector, slot: Slot) -> None:
    (answer,) = slot.score(Path(detector.held_out[0]["image"]).read_bytes())
    assert answer["boxes"]
    for found in answer["boxes"]:
        assert set(found) == {"box", "label", "score"}
        box = found["box"]
        assert 0 <= box["topX"] < box["bottomX"] <= 1
        assert 0 <= box["topY"] < box["bottomY"] <= 1
        assert 0 < found["score"] <= 1


def test_a_classifier_learns_colours_and_is_served(tmp_path: Path) -> None:
    names = list(COLOURS)
    rows = [row(painted(tmp_path / "images", [names[n % 3]], n), names[n % 3]) for n in range(24)]
    changes: Row = {"task": "image_classification", "primary_metric": "accuracy"}
    result = train(job(tmp_path / "job", rows[:18], rows[18:], {**FAST, "model_size": "medium"}, **changes))
    assert result.code == 0, result.errors
    assert result.of("completed")[0]["metrics"]["accuracy"] == 1.0
    answers = _served(result.of("trial_completed")[0]["model"], tmp_path, [["blue"], ["red"]])
    assert [max(zip(a["probs"], a["labels"], strict=True))[1] for a in answers] == ["blue", "red"]
    assert all(sum(a["probs"]) == pytest.approx(1.0, abs=1e-4) for a in answers)


def test_a_multilabel_classifier_learns_sets_of_colours_and_is_served(tmp_path: Path) -> None:
    sets = [["red"], ["green"], ["blue"], ["red", "green"], ["green", "blue"], ["red", "blue"], []]
    rows = [row(painted(tmp_path / "images", sets[n % 7], n), sets[n % 7]) for n in range(42)]
    changes: Row = {"task": "image_classification_multilabel", "primary_metric": "iou"}
    result = train(job(tmp_path / "job", rows[:35], rows[35:], {**FAST, "number_of_epochs": 25}, **changes))
    assert result.code == 0, result.errors
    assert result.of("completed")[0]["metrics"]["iou"] >= 0.7
    (answer,) = _served(result.of("trial_completed")[0]["model"], tmp_path, [["red", "blue"]])
    by_name = dict(zip(answer["labels"], answer["probs"], strict=True))
    assert min(by_name["red"], by_name["blue"]) > by_name["green"]


def test_an_unreadable_image_fails_the_job_by_name(tmp_path: Path) -> None:
    rows = [row(painted(tmp_path, ["red"], n), "red") for n in range(4)]
    (tmp_path / "2.png").write_bytes(b"no image")
    result = train(job(tmp_path / "job", rows, rows[:1], task="image_classification", primary_metric="accuracy"))
    assert result.code == 1
    assert result.said[-1]["event"] == "failed"
    assert result.said[-1]["error"]["code"] == "UserError"
    assert "2.png" in result.said[-1]["error"]["message"]
    assert "Traceback" not in result.errors


def _served(model: str, folder: Path, drawn: list[list[str]]) -> list[Row]:
    slot = Slot(Path(model), folder)
    try:
        return slot.score(*(painted(folder / "new", names, 900 + n).read_bytes() for n, names in enumerate(drawn)))
    finally:
        slot.stop()
