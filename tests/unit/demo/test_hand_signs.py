"""The example of a training script: what it draws, what of it goes to the loop, and the model that it leaves."""

from __future__ import annotations

import base64
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from demo.folder import read_folder
from emulator.azure_ml.command import read_metrics
from emulator.azure_ml.serving.model import Model
from services.config_file import read_config

EXAMPLE = Path(__file__).parents[3] / "examples" / "hand_signs"


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, Any]]:
    """The example's own modules, imported as its programs do."""
    folders, names = [str(EXAMPLE), str(EXAMPLE / "loop" / "code")], ("draw", "saving", "scoring", "train")
    sys.path[:0] = folders
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.dont_write_bytecode = before
        for name in names:
            sys.modules.pop(name, None)
        for folder in folders:
            sys.path.remove(folder)


@pytest.fixture(scope="module")
def drawn(parts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "hand_signs"
    parts["draw"].write_loop(folder)
    parts["draw"].write_images(folder, 3, 0)
    return folder


def table(folder: Path, images: list[Path]) -> str:
    """A table as the local cloud gives it to a script."""
    folder.mkdir()
    rows = [{"image_url": str(image), "label": image.parent.name} for image in images]
    (folder / "annotations.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder)


def test_the_same_seed_draws_the_same_hands_and_another_one_others(
    drawn: Path, parts: dict[str, Any], tmp_path: Path
) -> None:
    for seed in (0, 1):
        parts["draw"].write_images(tmp_path / str(seed), 1, seed, first=2)
    for sign in parts["draw"].SIGNS:
        file = f"images/{sign}/{sign}-0002.jpg"
        assert (tmp_path / "0" / file).read_bytes() == (drawn / file).read_bytes()
        assert (tmp_path / "1" / file).read_bytes() != (drawn / file).read_bytes()


def test_a_hand_with_more_fingers_shows_more_skin(parts: dict[str, Any]) -> None:
    draw, skin = parts["draw"], (255, 0, 0)

    def shown(sign: str) -> int:
        layer = Image.new("RGBA", (draw.DRAWN, draw.DRAWN))
        draw._draw_hand(draw.ImageDraw.Draw(layer), draw.SIGNS[sign][0], skin, draw.random.Random(3))
        return int((np.asarray(layer)[..., 3] > 0).sum())

    counts = [shown(sign) for sign in ("zero", "one", "two", "three", "four", "five")]
    assert counts == sorted(set(counts))


def test_the_script_goes_to_the_loop_before_the_images(drawn: Path) -> None:
    source = read_folder(drawn, None, 0, fast=False)
    names = [upload.name for upload in source.uploads]
    assert source.loop == "hand-signs"
    assert sorted(names[:3]) == ["code/saving.py", "code/scoring.py", "code/train.py"]
    assert len(names) == 3 + 18 - len(source.held_out)
    config, problems = read_config(source.config, "hand-signs/loop.yaml")
    assert (config is not None, problems) == (True, [])


def test_the_environments_name_is_the_one_that_the_loop_asks_for() -> None:
    environment = yaml.safe_load((EXAMPLE / "environment.yaml").read_text())
    config = yaml.safe_load((EXAMPLE / "loop" / "loop.yaml").read_text())
    assert config["training"]["command"]["environment"] == f"azureml:{environment['name']}:{environment['version']}"


@pytest.fixture(scope="module")
def model(parts: dict[str, Any], drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by the script for one epoch, and saved."""
    folder = tmp_path_factory.mktemp("run")
    images = sorted(drawn.glob("images/*/*.jpg"))
    given = {"--train": table(folder / "t", images[::2]), "--validation": table(folder / "v", images[1::2])}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = [part for pair in given.items() for part in pair]
        patch.setattr(sys, "argv", ["train.py", *words, "--epochs", "2"])
        parts["train"].main()
    return folder / "outputs" / "mlflow-model"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_slots_answer_the_same(model: Path, parts: dict[str, Any], drawn: Path) -> None:
    images = [file.read_bytes() for file in sorted(drawn.glob("images/*/*.jpg"))[::5]]
    ours = Model(model, threads=1).predict(images)
    theirs = parts["scoring"]._load_pyfunc(str(model / "data")).answers(base64.b64encode(i).decode() for i in images)
    assert [a["labels"] for a in ours] == [a["labels"] for a in theirs] == [sorted(parts["draw"].SIGNS)] * len(images)
    np.testing.assert_allclose([a["probs"] for a in ours], [a["probs"] for a in theirs], atol=1e-5)
    assert sum(ours[0]["probs"]) == pytest.approx(1, abs=1e-4)


def test_the_models_folder_is_mlflows_and_metrics_are_by_epoch(model: Path) -> None:
    flavour = yaml.safe_load((model / "MLmodel").read_text())["flavors"]["python_function"]
    assert (model / flavour["code"] / f"{flavour['loader_module']}.py").exists()
    assert (model / flavour["data"] / "model.onnx").exists()
    needed = yaml.safe_load((model / flavour["env"]["conda"]).read_text())["dependencies"][-1]["pip"]
    assert {line.partition("==")[0] for line in needed} >= {"onnxruntime", "azureml-ai-monitoring"}
    found = read_metrics(model.parent / "metrics.json")
    assert {name: len(values) for name, values in found.items()} == {"train_loss": 2, "accuracy": 2}
