"""A loop with a training script of its own, on the local cloud: a version, the job, blue, then green beside it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloud_process import ROOT, running_cloud
from tests.support.user import User

FIRST, MORE, HELD_OUT = 12, 8, 2
CHANGES = {
    "quiet_period_seconds: 5": "quiet_period_seconds: 1",
    'EPOCHS: "25"': 'EPOCHS: "2"',
    "images: 60, per_class: 10": "images: 60, per_class: 8",
    "new_images: 60": "new_images: 30",
}
OVER = {"promoted", "rejected"}

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
]


def drawn(folder: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "hand_signs" / "draw.py"), str(folder)]
    subprocess.run([*command, "--each", str(FIRST + MORE + HELD_OUT)], check=True, capture_output=True)


def configured(folder: Path) -> bytes:
    """The example's own loop.yaml, quicker."""
    text = (folder / "loop.yaml").read_text()
    for known, quicker in CHANGES.items():
        assert known in text
        text = text.replace(known, quicker)
    return text.encode()


def images(folder: Path, first: int, count: int) -> list[Path]:
    return [file for sign in sorted((folder / "images").iterdir()) for file in sorted(sign.iterdir())[first:][:count]]


def upload(user: User, folder: Path, files: list[Path]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda f: user.upload(f.relative_to(folder).as_posix(), f.read_bytes()), files))


def ended(status: dict[str, Any], number: int) -> bool:
    return len(status["runs"]) >= number and status["runs"][number - 1]["rollout"] in OVER


def test_a_script_of_ones_own_trains_goes_live_and_is_followed_by_its_successor(tmp_path: Path) -> None:
    folder = tmp_path / "hands"
    drawn(folder)
    with running_cloud(tmp_path / "cloud") as cloud:
        user = User(cloud, "hands")
        user.upload("loop.yaml", configured(folder))
        upload(user, folder, sorted((folder / "code").iterdir()))
        upload(user, folder, images(folder, 0, FIRST))
        status = user.wait("the first champion", lambda s: ended(s, 1), 360)
        assert status["champion"]["model"] == {"name": "vl-hands", "version": "1"}
        check_run(user)

        upload(user, folder, images(folder, FIRST, MORE))
        status = user.wait("the second run's rollout", lambda s: ended(s, 2), 360)
        check_comparison(user)
        check_predictions(user, images(folder, FIRST + MORE, HELD_OUT))
        user.close()


def check_run(user: User) -> None:
    """Its metrics by epoch, as the script told them."""
    run = user.get("/loops/hands/runs/1")
    [trial] = run["trials"]
    assert {name: len(points) for name, points in trial["metrics"].items()} == {"train_loss": 2, "accuracy": 2}


def check_comparison(user: User) -> None:
    """Both models answered the same images, the challenger in the other slot."""
    told = [e["data"] for e in user.told("rollout.evaluated", 2)]
    assert len(told) == 2
    assert "green accuracy" in told[0]["reason"] + told[1]["reason"]
    assert "blue accuracy" in told[0]["reason"]


def check_predictions(user: User, pictures: list[Path]) -> None:
    for picture in pictures[::3]:
        found = user.predict(picture.read_bytes())["predictions"]
        assert {p["label"] for p in found} <= {"zero", "one", "two", "three", "four", "five"}
        assert sum(p["score"] for p in found) == pytest.approx(1, abs=0.05)
