from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from devtools import cli, commands, console, doctor, folders
from devtools.client import Refused
from devtools.console import Stop, step
from devtools.layout import PORTS, ROOT
from services.errors import BadRequest
from services.names import LOOP, check_loop_name
from tests.support.programs import program

COMMANDS = ("demo", "serve", "explain", "check", "upload", "test", "lint", "bench", "doctor", "clean")


@pytest.fixture(autouse=True)
def _no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "end_on_signals", lambda: None)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have been run; nothing is installed or started."""
    found: list[list[str]] = []

    def run(command: list[object]) -> int:
        found.append([str(c) for c in command])
        return 0

    monkeypatch.setattr(commands, "run", run)
    monkeypatch.setattr(commands, "ensure_installed", lambda _: None)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert len(said.split("\n\n")[1]) > 30


def test_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", "--fix"])
    assert ended.value.code == 2
    assert "doctor does not know --fix" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["uplod", "x", "y"], "there is no command uplod (did you mean upload?); "),
        (["export"], "there is no command export; `python3 dev.py --help` lists them"),
        (["upload", "--treads", "3", "folder", "loop"], "upload does not know --treads (did you mean --threads?); "),
        (["serve", "--prots=auto"], "serve does not know --prots (did you mean --ports?); "),
        (["serve", "here"], "serve does not know here; "),
        (["upload", "folder", "loop", "--threads", "0"], "argument --threads: 0 is no number from 1 to 64"),
    ],
)
def test_what_is_misspelt_is_named_with_what_was_meant(
    typed: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(typed)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_command_is_understood_before_anything_is_installed() -> None:
    """`-S`: without the packages that this Python has; `-I`: without what its user has."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from devtools.cli import main; main(['uplod'])"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "(did you mean upload?)" in done.stderr


def test_an_unknown_loop_is_answered_by_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Asked:
        def __init__(self, _: Path) -> None:
            return

        def explain(self, loop: str) -> list[str]:
            raise Refused(404, f"There is no loop named {loop} (404)")

        def loops(self) -> list[str]:
            return ["conveyor", "tueren"]

    monkeypatch.setattr(commands, "Client", Asked)
    monkeypatch.setattr(commands, "running", lambda _: 1)
    assert cli.main(["explain", "conveyer"]) == 1
    assert "no loop named conveyer (404)\nLoops that there are: conveyor, tueren" in capsys.readouterr().err


def test_what_test_does_not_know_goes_to_pytest(runs: list[list[str]]) -> None:
    assert cli.main(["test", "--no-lint", "tests/unit", "-k", "rollout", "-x"]) == 0
    assert runs[0][1:] == ["-m", "pytest", "tests/unit", "-k", "rollout", "-x"]


def test_deep_runs_the_safety_tests_with_more_examples(runs: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPOTHESIS_PROFILE", "ci")
    assert cli.main(["test", "--deep", "-k", "wake"]) == 0
    assert (runs[0][3], runs[0][-2:], os.environ["HYPOTHESIS_PROFILE"]) == ("tests/safety", ["-k", "wake"], "deep")


def test_label_studio_is_brought_and_named_to_its_tests(runs: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONLOOP_LABEL_STUDIO", "")
    monkeypatch.setattr(commands, "ensure_program", lambda name: Path("/programs") / name)
    assert cli.main(["test", "--label-studio", "-x"]) == 0
    assert runs[0][1:] == ["-m", "pytest", "tests/real", "-x"]
    assert os.environ["VISIONLOOP_LABEL_STUDIO"] == str(Path("/programs/label-studio"))


def test_failed_checks_fail_the_test_run_whose_words_come_last(
    runs: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(commands, "run_logged", _checked)
    monkeypatch.setattr(commands, "LOGS", tmp_path)
    assert cli.main(["test"]) == 1
    assert "mypy failed" in capsys.readouterr().out
    assert len(runs) == 1


def _checked(command: list[object], log: Path) -> int:
    log.write_text("what is wrong")
    return int("mypy" in command)


def test_a_benchmark_is_listed_by_its_first_line_and_run_by_its_name(
    runs: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench"]) == 0
    assert "startup" in capsys.readouterr().out
    assert cli.main(["bench", "startup", "--rounds", "2"]) == 0
    assert runs[0][1:] == [str(ROOT / "benchmarks" / "startup.py"), "--rounds", "2"]
    assert cli.main(["bench", "nothing"]) == 2


def test_a_folder_that_is_not_there_is_said_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--data", "/no/such/folder"]) == 2
    assert "There is no folder /no/such/folder" in capsys.readouterr().err


def test_what_the_demonstration_would_refuse_is_said_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("nothing to look at")
    assert cli.main(["demo", "--data", str(tmp_path)]) == 2
    assert cli.main(["demo", "--loop", "Böse"]) == 2
    assert cli.main(["serve", "--folder", str(tmp_path / "notes.txt")]) == 2
    said = capsys.readouterr().err
    assert "holds no images (.bmp, " in said
    assert "'Böse' is not a loop's name: 3 to 40 lower-case" in said
    assert "notes.txt is a file: --folder takes a folder" in said


def test_a_loop_s_name_is_the_app_s() -> None:
    assert folders.LOOP.pattern == LOOP.pattern
    with pytest.raises(BadRequest, match=folders.LOOP_RULE):
        check_loop_name("Böse")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Stop("Do this.", 4), 4, "Do this."),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "Permission denied: /x/y"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_whatever_ends_a_command_is_a_sentence_and_a_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    monkeypatch.setattr(doctor, "main", fail)
    assert cli.main(["doctor"]) == code
    assert said in capsys.readouterr().err


class TestClean:
    @pytest.fixture
    def state(self, tmp_path: Path) -> Path:
        folder = tmp_path / "cloud"
        folder.mkdir()
        (folder / "keys.json").write_text("{}")
        return folder

    def test_yes_removes(self, state: Path) -> None:
        assert cli.main(["clean", "--yes", "--folder", str(state)]) == 0
        assert not state.exists()
        assert cli.main(["clean", "--yes", "--folder", str(state)]) == 0

    @pytest.mark.parametrize(("answer", "left"), [("y", False), ("", True), ("no", True)])
    def test_it_asks(self, state: Path, answer: str, left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("builtins.input", lambda _: answer)
        assert cli.main(["clean", "--folder", str(state)]) == int(left)
        assert state.exists() is left

    def test_a_running_cloud_is_left_alone(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with program("emulator") as process:
            (state / "lock").write_text(str(process.pid))
            assert cli.main(["clean", "--yes", "--folder", str(state)]) == 3
        assert state.exists()
        assert "end it first" in capsys.readouterr().err

    def test_a_folder_of_something_else_is_left_alone(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "thesis.txt").write_text("years of work")
        assert cli.main(["clean", "--yes", "--folder", str(tmp_path)]) == 2
        assert (tmp_path / "thesis.txt").exists()
        assert "does not look like" in capsys.readouterr().err


class TestExplain:
    @pytest.fixture
    def up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(commands, "running", lambda _: 4711)

    def test_without_a_cloud_it_says_how_to_start_one(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["explain", "cards", "--folder", str(tmp_path)]) == 3
        assert "dev.py serve" in capsys.readouterr().err

    @pytest.mark.usefixtures("up")
    def test_it_prints_the_sentences(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        class Cloud:
            def __init__(self, folder: Path) -> None:
                self.folder = folder

            def explain(self, loop: str) -> list[str]:
                return [f"{loop}: nothing", "  - 37 of 50 labelled images"]

        monkeypatch.setattr(commands, "Client", Cloud)
        assert cli.main(["explain", "cards"]) == 0
        assert capsys.readouterr().out == "cards: nothing\n  - 37 of 50 labelled images\n"

    @pytest.mark.usefixtures("up")
    def test_a_cloud_that_is_not_ready_is_a_sentence(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["explain", "cards", "--folder", str(tmp_path)]) == 1
        assert "cloud.json" in capsys.readouterr().err


def test_a_step_says_what_it_did_and_how_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "REMIND_SECONDS", 0.02)
    said, ends = "", time.monotonic() + 60
    with step("making .venv") as shown:
        shown.note = "Collecting torch"
        while "Collecting torch" not in said and time.monotonic() < ends:
            threading.Event().wait(0.01)
            said += capsys.readouterr().out
    with pytest.raises(Stop), step("installing"):
        raise Stop("No network")
    lines = (said + capsys.readouterr().out).splitlines()
    assert lines[0] == "... making .venv"
    assert any(re.fullmatch(r"\.\.\. making \.venv \(\d+ s\) Collecting torch", line) for line in lines[1:])
    assert any(re.fullmatch(r"ok  making \.venv \(\d+\.\d s\)", line) for line in lines[2:])
    assert re.fullmatch(r"no  installing \(\d+\.\d s\)", lines[-1])


class TestDoctor:
    def test_it_finds_something_about_everything(self) -> None:
        found = {f.what for f in doctor.findings()}
        assert {"Python", "virtual environment", "disk", "memory", "localhost", "Azurite and Node"} <= found

    @pytest.mark.parametrize(
        ("finding", "verdict"),
        [
            (doctor.disk(10**6, installed=False), "no"),
            (doctor.disk(2**30, installed=True), "ok"),
            (doctor.memory(2**30), "no"),
            (doctor.memory(3 * 2**30), "note"),
            (doctor.memory(2**35), "ok"),
            (doctor.memory(None), "note"),
        ],
    )
    def test_too_little_is_told_with_the_cure(self, finding: doctor.Finding, verdict: str) -> None:
        assert finding.verdict == verdict
        assert bool(finding.mend) == (verdict != "ok")

    def test_a_taken_port_fails(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(doctor, "is_free", lambda port: port != PORTS["host"])
        monkeypatch.setattr(doctor, "running", lambda _: None)
        assert doctor.main() == 1
        said = capsys.readouterr().out
        assert "To mend first: port 7071" in said
        assert "--ports auto" in said

    def test_a_cloud_of_ours_is_no_fault(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "running", lambda _: 4711)
        assert [f.verdict for f in doctor.ports()] == ["ok"]

    def test_a_python_without_venv_fails(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(doctor, "venv_python", lambda: tmp_path / "none")
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        assert doctor.installer().verdict == "no"


@pytest.fixture
def no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cloud:
        def __enter__(self) -> tuple[Any, Any]:
            client = SimpleNamespace(urls={"host": "http://h"}, key="secret")
            return None, client

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(commands, "check_can_start", lambda *_: None)
    monkeypatch.setattr(commands, "local_cloud", lambda *_: Cloud())


@pytest.mark.usefixtures("no_cloud")
def test_demo_draws_an_example_and_takes_it(runs: list[list[str]], tmp_path: Path) -> None:
    assert cli.main(["demo", "--once", "--example", "hand_signs", "--seed", "7", "--folder", str(tmp_path)]) == 0
    folder = str(tmp_path / "examples" / "hand_signs")
    assert runs[0][1:] == [str(ROOT / "examples" / "hand_signs" / "draw.py"), folder, "--seed", "7"]
    assert runs[1][1:] == ["-m", "demo", "--folder", str(tmp_path), "--data", folder, "--seed", "7", "--once"]


def test_serve_says_how_a_loop_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], runs: list[list[str]]
) -> None:
    @contextlib.contextmanager
    def cloud(*_: object) -> Iterator[tuple[None, None]]:
        yield None, None

    monkeypatch.setattr(commands, "check_can_start", lambda *_: None)
    monkeypatch.setattr(commands, "local_cloud", cloud)
    monkeypatch.setattr(commands, "describe", lambda *_: "addresses")
    monkeypatch.setattr(commands, "_stay", lambda *_: 0)
    assert cli.main(["serve", "--folder", str(tmp_path / "my cloud")]) == 0
    assert f"dev.py upload FOLDER NAME --folder '{tmp_path}/my cloud'" in capsys.readouterr().out
    assert runs == [], "nothing else is run"


@pytest.mark.usefixtures("no_cloud")
def test_an_example_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--example", "nothing"]) == 2
    assert "There is no example 'nothing'; there are hand_signs." in capsys.readouterr().err


@pytest.mark.usefixtures("no_cloud")
def test_demo_hands_its_options_on(
    runs: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    (tmp_path / "one.jpg").touch()
    given = ["--once", "--data", tmp_path.name, "--loop", "cards", "--seed", "7", "--fast", "--folder", str(tmp_path)]
    assert cli.main(["demo", *given]) == 0
    assert runs[0][1:] == [
        *("-m", "demo", "--folder", str(tmp_path)),
        *("--data", str(tmp_path), "--loop", "cards", "--seed", "7", "--fast", "--once"),
    ]
    assert "Watch it in a browser too: http://h/api/dashboard?code=secret" in capsys.readouterr().out
