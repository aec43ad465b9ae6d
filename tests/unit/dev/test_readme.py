"""What README promises is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from devtools.cli import parser
from devtools.install import GROUPS, WORKER_LIBRARY
from devtools.layout import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_PICTURE_BYTES = 300_000


def _required() -> set[str]:
    files = [(ROOT / name).read_text() for name in GROUPS["mutation"]]
    return {m[1] for text in files for m in re.finditer(r"^([A-Za-z][\w.-]*)==", text, re.MULTILINE)}


def test_each_dependency_has_its_reason() -> None:
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("|")]
    named = {name.strip() for row in rows for name in row.split(",")}
    assert _required() | {WORKER_LIBRARY.partition("==")[0]} <= named


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_each_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).is_file()


@pytest.mark.parametrize("picture", re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README))
def test_pictures_are_small(picture: str) -> None:
    assert 0 < (ROOT / picture).stat().st_size < MOST_PICTURE_BYTES


def test_each_command_is_one_of_dev_py() -> None:
    commands = set(re.findall(r"python3 dev\.py (\w+)", README))
    known = {name for action in parser()._actions if action.choices for name in action.choices}
    assert commands == known


@pytest.mark.parametrize("name", re.findall(r"^\| (`.+?) \|", README.partition("## Where things are")[2], re.MULTILINE))
def test_each_place_exists(name: str) -> None:
    paths = [Path(part) for part in re.findall(r"`([^`]+)`", name) if "requirements" not in part]
    assert [p for p in paths if not (ROOT / p).exists()] == []


def test_ci_runs_what_a_developer_runs() -> None:
    last = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert last == "exec python3 dev.py test"
