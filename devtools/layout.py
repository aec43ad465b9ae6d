"""Where things are on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LOCAL = ROOT / ".local"
LOGS = LOCAL / "logs"
AZURITE = LOCAL / "azurite"
CLOUD = ROOT / ".visionloop"

PORTS = {"blob": 10000, "queue": 10001, "table": 10002, "azure_ml": 10010, "event_grid": 10020, "host": 7071}
"""What `python -m emulator up --ports default` listens on; a test holds the two tables together."""


def venv_python(venv: Path = VENV, platform: str = sys.platform) -> Path:
    """The interpreter of a virtual environment, which each system keeps elsewhere."""
    return venv / "Scripts" / "python.exe" if platform == "win32" else venv / "bin" / "python"


def shown(path: Path) -> str:
    """A path as people like to read it: relative to the project where it is inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
