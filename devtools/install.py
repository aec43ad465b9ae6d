"""Makes `.venv` and `.local`: Python packages, Node and Azurite, each once for the files that name it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from devtools.console import Step, Stop, say, step
from devtools.layout import AZURITE, LOCAL, LOGS, ROOT, VENV, shown, venv_python
from devtools.processes import Command, run_logged
from devtools.trouble import explain

CONSTRAINTS = "constraints.txt"
APP = ("requirements.txt", "requirements-local.txt", "requirements-train.txt")
DEV = (*APP, "requirements-dev.txt")
GROUPS = {"app": APP, "dev": DEV, "mutation": (*DEV, "requirements-mutation.txt")}
PROGRAMS = {"label-studio": "requirements-label-studio.txt"}
"""Other people's programs that tests of their own connect to, each with an environment of its own: they are heavy."""
WORKER_LIBRARY = "azure-functions-runtime==1.3.0"
"""Microsoft's worker, a judge in the tests: it declares a newer Python than it needs, and no dependencies we lack."""
NEEDED_BYTES = 3 * 2**30


def ensure_installed(group: str) -> None:
    """Bring everything that a command needs; where nothing is missing this takes a moment.

    `group` is `app`, `dev` for what the tests and checks need beside it, or `mutation` for what changes the code.

    Raises:
        Stop: no network, no disk, no pip: with what to do.
    """
    with _alone(LOCAL / "setup.lock"):
        if not is_installed(group):
            _ensure_disk()
            _ensure_venv()
            _install_packages(group)
        if not (AZURITE / "installed.json").exists():
            _install_azurite()


def ensure_program(name: str) -> Path:
    """Bring one of PROGRAMS, which has nothing to do with the app's packages; returns what starts it.

    Raises:
        Stop: as above.
    """
    venv, file = LOCAL / name / "venv", ROOT / PROGRAMS[name]
    stamp, wanted = venv / "visionloop.stamp", file.read_text()
    with _alone(LOCAL / "setup.lock"):
        if not stamp.exists() or stamp.read_text() != wanted:
            _ensure_disk()
            _make_venv(venv)
            with step(f"installing {name}, about 1 GB") as shown_step:
                _do([*_pip(venv), "-r", file], LOGS / f"pip-{name}.log", f"pip could not install {name}", shown_step)
            stamp.write_text(wanted)
    return venv_python(venv).with_name(name + venv_python(venv).suffix)


def is_installed(group: str) -> bool:
    """Whether the packages of a group, or of one that holds it, are the ones that the requirement files name now."""
    wider = [name for name, files in GROUPS.items() if set(GROUPS[group]) <= set(files)]
    return venv_python().exists() and any(_is_current(name) for name in wider)


def _is_current(group: str) -> bool:
    stamp = _stamp(group)
    if not stamp.exists():
        return False
    made_of, *packages = stamp.read_text().splitlines() or [""]
    return made_of == digest(group) and set(packages) <= _packages()


def _packages() -> set[str]:
    """What is in the environment, by name and version: somebody may have removed or changed one by hand."""
    places = ("lib/*/site-packages", "Lib/site-packages")
    return {found.name for place in places for found in VENV.glob(f"{place}/*.dist-info")}


def digest(group: str, root: Path = ROOT, venv: Path = VENV) -> str:
    """Over the requirement files and the environment's Python: equal means that nothing is to be installed."""
    parts = [(root / name).read_bytes() for name in (*GROUPS[group], CONSTRAINTS)]
    made = venv / "pyvenv.cfg"
    parts.append(made.read_bytes() if made.exists() else b"")
    return hashlib.sha256(b"\0".join([*parts, WORKER_LIBRARY.encode()])).hexdigest()


def _stamp(group: str) -> Path:
    return VENV / f"visionloop-{group}.stamp"


def _ensure_disk() -> None:
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        raise Stop(f"{free / 2**30:.1f} GB of disk are free at {ROOT}, {NEEDED_BYTES >> 30} GB are needed: free some.")


def _ensure_venv() -> None:
    if venv_python().exists() and run_logged([venv_python(), "-m", "pip", "--version"], LOGS / "venv.log") == 0:
        return
    _make_venv(VENV)


def _make_venv(venv: Path) -> None:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise Stop(
            f"This Python ({sys.executable}) comes without venv and pip. On Debian and Ubuntu: "
            f"sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        )
    with step(f"making {shown(venv)}"):
        _do([sys.executable, "-m", "venv", "--clear", venv], LOGS / "venv.log", "The virtual environment was not made")


def _install_packages(group: str) -> None:
    files: list[str | Path] = [part for name in GROUPS[group] for part in ("-r", name)]
    command: list[str | Path] = [*_pip(), "--constraint", CONSTRAINTS, *files]
    with step("installing Python packages") as shown_step:
        _do(command, LOGS / "pip.log", "pip could not install the packages", shown_step)
        if group != "app":
            worker = [*_pip(), "--ignore-requires-python", "--no-deps", WORKER_LIBRARY]
            _do(worker, LOGS / "pip-worker.log", f"pip could not install {WORKER_LIBRARY}", shown_step)
    _stamp(group).write_text("\n".join([digest(group), *sorted(_packages())]))


def _pip(venv: Path | None = None) -> list[str | Path]:
    python = venv_python(venv) if venv else venv_python()
    return [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]


def _install_azurite() -> None:
    command: Command = [venv_python(), "-m", "emulator.storage", "install", "--folder", AZURITE]
    with step("installing Azurite, the storage emulator") as shown_step:
        _do(command, LOGS / "azurite.log", "Azurite could not be installed", shown_step, AZURITE / "npm.log")


def _do(command: Command, log: Path, otherwise: str, shown_step: Step | None = None, extra: Path | None = None) -> None:
    """Run an installer; `extra` is another log that it writes."""

    def note(line: str) -> None:
        if shown_step is not None and line.startswith(("Collecting", "Downloading", "Installing", "azurite:")):
            shown_step.note = line

    if run_logged(command, log, note) == 0:
        return
    logs = [f for f in (log, extra) if f is not None and f.exists()]
    text = "\n".join(f.read_text(encoding="utf-8", errors="replace") for f in logs)
    raise Stop(explain(text, logs[-1], otherwise))


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One installation at a time: the system frees the lock of a process that is gone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as lock:
        if not _locked(lock):
            say("... waiting for another dev.py, which is installing")
            while not _locked(lock):
                time.sleep(0.5)
        yield


def _locked(lock: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
