from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devtools.folders import loop_files, placed


def paths_of(folder: Path, *names: str) -> dict[str, str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return {file.relative_to(folder).as_posix(): path for path, file in loop_files(folder).items()}


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        pytest.param(["a.jpg", "a.xml", "classes.txt"], ["images/a.jpg", "images/a.xml", "images/classes.txt"], id="mixed"),
        pytest.param(["images/a.JPG", "labels/a.xml"], ["images/a.JPG", "labels/a.xml"], id="as a loop"),
        pytest.param(["can/1.jpg", "bottle/1.jpg"], ["images/can/1.jpg", "images/bottle/1.jpg"], id="classes"),
        pytest.param(["images/train/a.jpg", "images/all.csv"], ["images/train/a.jpg", "images/all.csv"], id="bulk file"),
        pytest.param(["photos/a.png", "coco.json"], ["images/photos/a.png", "labels/coco.json"], id="one document"),
        pytest.param(
            ["train/images/a.jpg", "train/labels/a.txt", "valid/images/a.jpg", "data.yaml"],
            ["images/train/a.jpg", "labels/train/a.txt", "images/valid/a.jpg", "labels/data.yaml"],
            id="splits",
        ),
        pytest.param(
            ["train/a.jpg", "train/images/a.jpg"], ["images/train/a.jpg", "images/train/images/a.jpg"], id="no collision"
        ),
        pytest.param(
            ["loop.yaml", "code/train.py", "code/a.jpg", "code/__pycache__/a.pyc", "b.jpg"],
            ["loop.yaml", "code/train.py", "code/a.jpg", None, "images/b.jpg"],
            id="a training script",
        ),
        pytest.param(["code/a.jpg"], ["images/code/a.jpg"], id="code is a class"),
        pytest.param(["loop.yaml", "x/loop.yaml"], ["loop.yaml", "labels/x/loop.yaml"], id="config"),
    ],
)  # fmt: skip
def test_where_files_go(tmp_path: Path, names: list[str], paths: list[str | None]) -> None:
    assert paths_of(tmp_path, *names) == {name: path for name, path in zip(names, paths, strict=True) if path}


def test_what_systems_leave_behind_stays(tmp_path: Path) -> None:
    assert paths_of(tmp_path, ".git/a.jpg", "__MACOSX/a.jpg", ".DS_Store", "a.jpg") == {"a.jpg": "images/a.jpg"}


parts = st.lists(st.sampled_from(["images", "labels", "train", "2", "x"]), max_size=4)
files = st.builds(lambda folders, name: Path(*folders, name), parts, st.sampled_from(["a.jpg", "a.txt", "loop.yaml"]))


@given(st.lists(files, unique=True, max_size=12))
def test_no_file_takes_the_place_of_another(relatives: list[Path]) -> None:
    found = placed(relatives)
    assert [relative for _, relative in found] == relatives
    assert len({path for path, _ in found}) == len(relatives)
    assert all(path == "loop.yaml" or path.startswith(("images/", "labels/")) for path, _ in found)
