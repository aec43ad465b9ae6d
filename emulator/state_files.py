"""Small files of state, which a power cut leaves whole: the old one or the new one."""

from __future__ import annotations

import json
from pathlib import Path


def write_json(file: Path, value: object) -> None:
    """Write a file so that a reader sees the old or the new one, never half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1))
    partial.replace(file)
