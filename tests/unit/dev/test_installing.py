from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from devtools import install
from devtools.console import Stop
from devtools.layout import LOCAL, ROOT, venv_python
from devtools.trouble import explain

REQUIREMENTS = (
    "requirements.txt",
    "requirements-local.txt",
    "requirements-train.txt",
    "requirements-dev.txt",
    "requirements-mutation.txt",
)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as after a clone, where nothing is installed."""
    for name in (*REQUIREMENTS, install.CONSTRAINTS):
        (tmp_path / name).write_text(f"# {name}\n")
    folders = {"ROOT": tmp_path, "VENV": tmp_path / ".venv", "LOCAL": tmp_path / ".local"}
    for name, folder in {**folders, "LOGS": tmp_path / "logs", "AZURITE": tmp_path / "azurite"}.items():
        monkeypatch.setattr(install, name, folder)
    monkeypatch.setattr(install, "venv_python", lambda: venv_python(tmp_path / ".venv"))
    monkeypatch.setattr(install, "digest", lambda group: _digest(group, tmp_path))
    return tmp_path


def _digest(group: str, root: Path) -> str:
    return DIGEST(group, root, root / ".venv")


DIGEST = install.digest


class Installer:
    """Stands for the processes that install: remembers commands, makes what the real ones make."""

    def __init__(self, root: Path, codes: dict[str, int] | None = None, words: str = "") -> None:
        self.commands: list[list[str]] = []
        self._root, self._codes, self._words = root, codes or {}, words

    def __call__(self, command: list[object], log: Path, on_line: object = None) -> int:
        words = [str(c) for c in command]
        self.commands.append(words)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(self._words)
        code = next((code for word, code in self._codes.items() if word in words), 0)
        if code == 0:
            self._make(words)
        return code

    def _make(self, words: list[str]) -> None:
        if "venv" in words:
            python = venv_python(self._root / ".venv")
            python.parent.mkdir(parents=True)
            python.touch()
            (self._root / ".venv" / "pyvenv.cfg").write_text("version = 3.11.7\n")
        if "emulator.storage" in words:
            (self._root / "azurite").mkdir()
            (self._root / "azurite" / "installed.json").write_text("{}")


def test_a_bare_folder_gets_everything_and_the_second_time_nothing(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = Installer(bare)
    monkeypatch.setattr(install, "run_logged", installer)
    install.ensure_installed("app")
    first = [" ".join(c) for c in installer.commands]
    assert len(first) == 3
    assert "-m venv" in first[0]
    assert "-r requirements.txt -r requirements-local.txt -r requirements-train.txt" in first[1]
    assert "requirements-dev.txt" not in first[1]
    assert "-m emulator.storage install" in first[2]
    installer.commands.clear()
    install.ensure_installed("app")
    assert installer.commands == []


def test_tests_bring_the_worker_library_without_its_dependencies(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = Installer(bare)
    monkeypatch.setattr(install, "run_logged", installer)
    install.ensure_installed("dev")
    worker = next(c for c in installer.commands if install.WORKER_LIBRARY in c)
    assert {"--no-deps", "--ignore-requires-python"} <= set(worker)


def test_who_can_test_can_serve_but_not_the_other_way_round(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "run_logged", Installer(bare))
    install.ensure_installed("app")
    assert not install.is_installed("dev")
    install.ensure_installed("dev")
    (bare / ".venv" / "visionloop-app.stamp").unlink()
    assert install.is_installed("app")


@pytest.mark.parametrize("changed", ["requirements-train.txt", "constraints.txt"])
def test_a_changed_file_installs_again(bare: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    installer = Installer(bare)
    monkeypatch.setattr(install, "run_logged", installer)
    install.ensure_installed("app")
    installer.commands.clear()
    (bare / changed).write_text("other==1\n")
    install.ensure_installed("app")
    assert [c for c in installer.commands if "-r" in c]


@pytest.mark.parametrize("folder", ["lib/python3.11/site-packages", "Lib/site-packages"])
def test_a_package_that_somebody_removed_is_installed_again(
    bare: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    class Installing(Installer):
        def _make(self, words: list[str]) -> None:
            super()._make(words)
            if "requirements.txt" in words:
                (bare / ".venv" / folder / "rich-15.0.0.dist-info").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(install, "run_logged", Installing(bare))
    install.ensure_installed("app")
    assert install.is_installed("app")
    (bare / ".venv" / folder / "rich-15.0.0.dist-info").rename(bare / ".venv" / folder / "rich-16.0.0.dist-info")
    assert not install.is_installed("app")
    install.ensure_installed("app")
    assert install.is_installed("app")


def test_another_python_in_the_environment_installs_again(bare: Path) -> None:
    before = _digest("app", bare)
    (bare / ".venv").mkdir()
    (bare / ".venv" / "pyvenv.cfg").write_text("version = 3.13.1\n")
    assert _digest("app", bare) != before


def test_an_environment_with_a_broken_pip_is_made_anew(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = venv_python(bare / ".venv")
    python.parent.mkdir(parents=True)
    python.touch()
    installer = Installer(bare, {"--version": 1})
    monkeypatch.setattr(install, "run_logged", installer)
    monkeypatch.setattr(installer, "_make", lambda _: None)
    install.ensure_installed("app")
    assert "--clear" in installer.commands[1]


def test_a_program_has_an_environment_of_its_own_which_is_made_once(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = bare / install.PROGRAMS["label-studio"]
    file.write_text("label-studio==1\n")
    venv = bare / ".local" / "label-studio" / "venv"
    installer = Installer(bare)
    monkeypatch.setattr(install, "run_logged", installer)
    monkeypatch.setattr(installer, "_make", lambda _: venv.mkdir(parents=True, exist_ok=True))
    monkeypatch.setattr(install, "venv_python", venv_python)
    for _ in range(2):
        assert install.ensure_program("label-studio").parent == venv_python(venv).parent
    assert [c[1:3] for c in installer.commands] == [["-m", "venv"], ["-m", "pip"]]
    assert installer.commands[1][0] == str(venv_python(venv))
    assert install.CONSTRAINTS not in installer.commands[1]
    file.write_text("label-studio==2\n")
    install.ensure_program("label-studio")
    assert len(installer.commands) == 4


def test_no_network_is_a_sentence_and_leaves_no_stamp(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "NewConnectionError: Connection refused\nERROR: No matching distribution found for torch"
    monkeypatch.setattr(install, "run_logged", Installer(bare, {"-r": 1}, words))
    with pytest.raises(Stop, match=r"registry cannot be reached.*Details: .*pip\.log"):
        install.ensure_installed("app")
    assert not install.is_installed("app")


def test_no_disk_is_said_before_anything_is_installed(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = Installer(bare)
    monkeypatch.setattr(install, "run_logged", installer)
    monkeypatch.setattr(install, "NEEDED_BYTES", 2**60)
    with pytest.raises(Stop, match="GB of disk are free"):
        install.ensure_installed("app")
    assert installer.commands == []


def test_a_python_without_ensurepip_is_told_the_package(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "run_logged", Installer(bare))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(Stop, match=r"sudo apt install python3\.\d+-venv"):
        install.ensure_installed("app")


def test_two_installations_wait_for_each_other(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most = 0, 0
    lock = threading.Lock()

    def slow(command: list[object], log: Path, on_line: object = None) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.02)
        with lock:
            inside -= 1
        return Installer(bare)(command, log) if not venv_python(bare / ".venv").exists() else 0

    monkeypatch.setattr(install, "run_logged", slow)
    both = [threading.Thread(target=install.ensure_installed, args=("app",)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(20)
    assert most == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("npm error code ENOTFOUND", "registry cannot be reached"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "certificate is not trusted"),
        ("/x/.venv/bin/python: No module named pip", "pip is missing or broken"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no build of torch==2.13.0"),
        (
            "ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)",
            "cannot be reached, or has no torch==2.13.0 for this Python",
        ),
        ("PermissionError: [Errno 13] Permission denied: '/x'", "could not be written"),
        ("something nobody has seen", "It failed"),
    ],
)
def test_each_known_trouble_is_one_sentence_that_names_the_log(words: str, said: str) -> None:
    found = explain(words, LOCAL / "logs" / "pip.log", "It failed")
    assert said in found
    assert "pip.log" in found
    assert "\n" not in found


def _imported(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize("file", [ROOT / "dev.py", *sorted((ROOT / "devtools").glob("*.py"))], ids=lambda f: f.name)
def test_nothing_but_the_standard_library_is_imported(file: Path) -> None:
    assert _imported(file) - set(sys.stdlib_module_names) <= {"devtools"}


def test_it_runs_where_nothing_is_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-S", ROOT / "dev.py", "--help"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("demo", "serve", "test", "lint", "bench", "doctor", "clean"))


def test_an_older_python_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import dev

    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or later"):
        dev.main()
