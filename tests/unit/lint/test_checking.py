from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from devtools import cli, commands
from devtools.checking.__main__ import main
from devtools.checking.show import verdict
from devtools.folders import loop_files
from services.catalogue.images import HEADER
from services.state_store import StateStore
from services.status.problems import ProblemReports
from tests.support.cards import FOLDER as CARDS
from tests.support.dataset_house import BOX, LOOP, House, coco, picture, voc

FRIDGE = CARDS.parents[1] / "fridge_objects_classification"


def put(folder: Path, name: str, data: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    for number in range(20):
        put(tmp_path, f"photos/{number:02}.png", picture(number))
        put(tmp_path, f"photos/{number:02}.xml", voc((("nut", "bolt")[number % 2], BOX)))
    return tmp_path


def checked(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_good_folder(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = checked(capsys, good)
    assert (code, found["count"], found["task"]) == (0, 0, "object_detection")
    assert found["images_per_class"] == found["annotations_per_class"] == {"bolt": 10, "nut": 10}


def test_errors_end_with_1_and_name_the_users_own_files(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(good, "photos/00.xml", voc(("nut", (0, 0, 900, 9))))
    code, found = checked(capsys, good)
    assert code == 1
    assert [(p["code"], p["file"]) for p in found["problems"] if p["severity"] == "error"] == [
        ("box-outside", "photos/00.xml")
    ]


def test_warnings_end_with_1_where_asked_for(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(good, "photos/20.png", picture(99))
    put(good, "photos/20.xml", voc(("Nut", BOX)))
    code, found = checked(capsys, good)
    assert (code, found["by_code"]) == (0, {"class-names-alike": 1, "class-too-few-images": 1})
    assert checked(capsys, good, "--strict")[0] == 1


def test_task_and_classes_are_as_given_or_as_in_loop_yaml(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(good, "loop.yaml", b"classes: [nut]\n")
    assert checked(capsys, good)[1]["by_code"]["class-unknown"] == 10
    code, found = checked(capsys, good, "--classes", "nut, bolt")
    assert (code, found["count"]) == (0, 0)
    assert checked(capsys, good, "--task", "image_classification")[1]["by_code"]["label-kind"] == 10


def test_a_broken_loop_yaml_is_an_error(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(good, "loop.yaml", b"clases: [nut]\n")
    code, found = checked(capsys, good)
    assert (code, found["by_code"]) == (1, {"config-invalid": 1})


def test_the_end_of_a_large_image_is_looked_at(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = Image.frombytes("RGB", (300, 300), random.Random(1).randbytes(270_000))
    noise.save(good / "photos" / "large.png")
    whole = (good / "photos" / "large.png").read_bytes()
    assert checked(capsys, good)[1]["by_code"] == {"image-unlabelled": 1}
    put(good, "photos/large.png", whole[: HEADER + 100])
    assert checked(capsys, good)[1]["by_code"]["image-truncated"] == 1


def test_a_yolo_export_with_a_folder_for_each_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same names in both splits: images and labels are paired within their own."""
    for number in range(20):
        split, name = ("train", "valid")[number % 2], f"{number // 2}"
        put(tmp_path, f"{split}/images/{name}.png", picture(number))
        put(tmp_path, f"{split}/labels/{name}.txt", f"{number % 2} 0.5 0.5 0.25 0.25\n".encode())
    put(tmp_path, "data.yaml", b"train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [nut, bolt]\n")
    code, found = checked(capsys, tmp_path)
    assert (code, found["by_code"]) == (0, {})
    assert found["images_per_class"] == {"bolt": 10, "nut": 10}
    put(tmp_path, "train/labels/3.txt", b"7 0.5 0.5 0.25 0.25\n0 0.5 0.5 0 0\n")
    code, found = checked(capsys, tmp_path)
    assert {p["file"] for p in found["problems"] if p["severity"] == "error"} == {"train/labels/3.txt"}


def test_darknet_s_lists_and_what_label_studio_adds_to_its_yolo_export_do_no_harm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(20):
        put(tmp_path, f"obj_train_data/{number}.png", picture(number))
        put(tmp_path, f"obj_train_data/{number}.txt", f"{number % 2} 0.5 0.5 0.25 0.25\n".encode())
    put(tmp_path, "obj.names", b"nut\nbolt\n")
    put(tmp_path, "obj.data", b"classes = 2\ntrain = data/train.txt\n")
    put(tmp_path, "train.txt", b"data/obj_train_data/0.png\ndata/obj_train_data/1.png\n")
    put(tmp_path, "notes.json", b'{"categories": [{"id": 0, "name": "nut"}], "info": {"contributor": "Label Studio"}}')
    code, found = checked(capsys, tmp_path)
    assert (code, found["by_code"], found["labelled"]) == (0, {"coco-no-annotations": 1}, 20)


def test_an_archive_is_to_be_unpacked(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(good, "labels.ZIP", b"PK")
    found = checked(capsys, good)[1]
    assert [(p["file"], p["code"], p["expected"]) for p in found["problems"]] == [
        ("labels.ZIP", "label-file-unknown", "the archive's files, unpacked")
    ]


def test_a_list_of_images_beside_folders_of_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(20):
        put(tmp_path, f"train/{('nut', 'bolt')[number % 2]}/{number}.png", picture(number))
    put(tmp_path, "train.txt", b"nut/0.png\nbolt/1.png\n")
    code, found = checked(capsys, tmp_path)
    assert (code, found["count"], found["images_per_class"]) == (0, 0, {"bolt": 10, "nut": 10})


def test_the_same_names_in_each_split_with_a_label_file_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(20):
        split = ("train", "valid")[number % 2]
        put(tmp_path, f"{split}/{number // 2}.png", picture(number))
    for split, name in (("train", "nut"), ("valid", "bolt")):
        labels = coco({f"{number}.png": [(name, BOX)] for number in range(10)})
        put(tmp_path, f"{split}/_annotations.coco.json", labels)
    code, found = checked(capsys, tmp_path)
    assert (code, found["count"], found["images_per_class"]) == (0, 0, {"bolt": 10, "nut": 10})


def test_the_app_says_the_same_once_it_is_uploaded(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(good, "photos/00.xml", voc(("nut", (0, 0, 900, 9)), ("Nut", BOX)))
    put(good, "photos/copy.png", picture(3))
    put(good, "photos/broken.png", b"\x89PNG")
    put(good, "notes.md", b"?")
    put(good, "all.json", coco({"copy.png": [("nut", BOX)], "nowhere.png": [("nut", BOX)]}))
    found = checked(capsys, good)[1]
    house = House()
    for path, file in sorted(loop_files(good).items()):
        house.put(path, file.read_bytes())
    house.step()
    fakes = house.fakes
    told = ProblemReports(StateStore(fakes.system, fakes.clock), fakes.system).report(LOOP, {})
    assert len(found["by_code"]) >= 6
    assert {name: found[name] for name in ("count", "by_code", "by_severity")} == {
        name: told[name] for name in ("count", "by_code", "by_severity")
    }
    assert [p["code"] for p in found["problems"]] == [p["code"] for p in told["problems"]]


class TestOneLabelFile:
    def test_boxes_are_held_against_the_sizes_that_it_says(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        images = {f"belt/{n}.png": [("nut", BOX)] for n in range(12)} | {
            "C:\\out.png": [("nut", (60.0, 0.0, 9.0, 9.0))]
        }
        put(tmp_path, "all.json", coco(images))
        code, found = checked(capsys, tmp_path / "all.json")
        assert (code, found["images"], found["labelled"]) == (1, 13, 12)
        assert found["by_code"] == {"box-outside": 1, "image-unlabelled": 1}

    def test_without_sizes_labels_wait_for_their_images(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put(tmp_path, "a.xml", voc(("nut", BOX), size=(0, 0)))
        code, found = checked(capsys, tmp_path / "a.xml")
        assert (code, found["by_code"]) == (0, {"label-waiting": 1})

    def test_a_broken_one(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        put(tmp_path, "all.json", coco({"a.png": [("nut", BOX)]})[:-9])
        code, found = checked(capsys, tmp_path / "all.json")
        assert (code, found["by_code"]) == (1, {"json-invalid": 1})


def test_people_read_what_to_do(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(8):
        put(good, f"photos/{number:02}.xml", voc(("nut", (0, 0, 900, 9))))
    assert main([str(good)]) == 1
    said = capsys.readouterr().out
    assert "20 images, 12 labelled" in said
    assert "box-outside  (8)\n    Draw the box again" in said
    assert "photos/00.xml, annotation/object[1]: expected a box within 64 x 48 pixels, found left 0" in said
    assert "… and 3 more" in said
    assert said.rstrip().endswith("8 errors and no warnings.")


@pytest.mark.parametrize(
    ("errors", "warnings", "said"),
    [(0, 0, "No errors and no warnings."), (1, 2, "1 error and 2 warnings."), (0, 1, "No errors and 1 warning.")],
)
def test_the_last_line(errors: int, warnings: int, said: str) -> None:
    assert verdict({"error": errors, "warning": warnings, "note": 5}) == said


@pytest.mark.parametrize("arguments", [["nowhere"], ["."], [".", "--classes", "x" * 300]])
def test_nothing_to_check(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if len(arguments) > 1:
        put(tmp_path, "a.png", picture(1))
    assert main(arguments) == 2
    assert len(capsys.readouterr().err) > 20


def test_a_folder_of_what_is_no_data_is_nothing_to_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "README.md", b"Nothing but words.")
    put(tmp_path, "loop.yaml", b"paused: true")
    assert main([str(tmp_path)]) == 2
    assert "holds neither images" in capsys.readouterr().err


def test_a_limit_of_the_environment_holds(
    good: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VISIONLOOP_MAX_IMAGE_PIXELS", "100")
    assert checked(capsys, good)[1]["by_code"]["image-too-many-pixels"] == 20


def test_dev_py_hands_on_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[str]] = []
    monkeypatch.setattr(cli, "end_on_signals", lambda: None)
    monkeypatch.setattr(commands, "ensure_installed", lambda _: None)
    monkeypatch.setattr(commands, "run", lambda command: found.append([str(c) for c in command]) or 1)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", "data", "--classes", "a,b", "--strict"]) == 1
    assert found[0][1:] == ["-m", "devtools.checking", str(tmp_path / "data"), "--classes", "a,b", "--strict"]


@pytest.mark.skipif(not CARDS.is_dir(), reason="needs the photographs of ../shared/data")
def test_photographs_of_playing_cards(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = checked(capsys, CARDS.parent)
    assert (code, found["images"], found["labelled"], found["by_severity"]["error"]) == (0, 363, 363, 0)
    assert found["task"] == "object_detection"
    assert sorted(found["classes"]) == ["ace", "jack", "king", "nine", "queen", "ten"]


@pytest.mark.skipif(not FRIDGE.is_dir(), reason="needs the photographs of ../shared/data")
def test_photographs_in_folders_of_classes(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = checked(capsys, FRIDGE)
    assert (code, found["count"], found["task"]) == (0, 0, "image_classification")
    assert found["images_per_class"] == {"can": 32, "carton": 32, "milk_bottle": 37, "water_bottle": 33}
